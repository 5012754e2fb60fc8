"""The LLaVA-NeXT (1.6) model family in the layout of the llava-hf repositories, from tables alone.
Its pictures (any resolution) are arranged by the model's own processor: hubkit merges adapters into
it, checks, packages and publishes it.
"""

from .family import LLaVANext

__all__ = ["LLaVANext"]
