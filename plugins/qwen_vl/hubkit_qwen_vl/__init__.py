"""The Qwen2-VL, Qwen2.5-VL and Qwen3-VL model families in the layout of Qwen's own
repositories, from tables alone. Their pictures (any resolution) are arranged by the model's own
processor, which trainer `peft` and engine `transformers` run; it needs no torchvision.
"""

from .family import QwenVL
from .qwen3 import Qwen3VL

__all__ = ["Qwen3VL", "QwenVL"]
