"""The LLaVA-NeXT (1.6) and LLaVA-OneVision model families in the layout of the llava-hf
repositories, from tables alone. Their pictures (any resolution) are arranged by the model's own
processor, which trainer `peft` and engine `transformers` run; it needs no torchvision.
"""

from .family import LLaVANext
from .onevision import LLaVAOneVision

__all__ = ["LLaVANext", "LLaVAOneVision"]
