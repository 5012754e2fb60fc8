"""The InternVL model family: InternVL2 in every size, and InternVL2.5 and 3 where they keep its
layout; and all of them in transformers' own layout."""

from .family import InternVL
from .hf import InternVLHF

__all__ = ["InternVL", "InternVLHF"]
