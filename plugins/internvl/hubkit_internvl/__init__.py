"""The InternVL model family: InternVL2 in every size, and InternVL2.5 and 3 where they keep its
layout."""

from .family import InternVL

__all__ = ["InternVL"]
