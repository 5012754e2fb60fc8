"""The Qwen2-VL and Qwen2.5-VL model families in the layout of Qwen's own repositories, from tables
alone. Their pictures (any resolution) are arranged by the model's own processor: hubkit merges
adapters into them, checks, packages and publishes them.
"""

from .family import QwenVL

__all__ = ["QwenVL"]
