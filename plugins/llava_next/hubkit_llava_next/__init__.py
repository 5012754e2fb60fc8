"""The LLaVA-NeXT (1.6) model family in the layout of the llava-hf repositories, from tables alone.
Its pictures (any resolution) are arranged by the model's own processor, which trainer `peft` and
engine `transformers` run; it needs no torchvision.
"""

from .family import LLaVANext

__all__ = ["LLaVANext"]
