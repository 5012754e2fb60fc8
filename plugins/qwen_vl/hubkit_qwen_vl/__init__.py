"""The Qwen2-VL and Qwen2.5-VL model families in the layout of Qwen's own repositories, from tables
alone. Their pictures (any resolution) are arranged by the model's own processor, which trainer
`peft` and engine `transformers` run; it needs no torchvision.
"""

from .family import QwenVL

__all__ = ["QwenVL"]
