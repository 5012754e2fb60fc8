"""What may stand under `options` of this engine in release.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """Records of like length are asked together: at most `batch_size` of them, of at most
    `batch_tokens` positions with their padding and answers; a GPU's memory that is too small for
    these halves them. With `exact` every answer is the one that its record gets by itself: a record
    whose two likeliest tokens were nearly alike at some place is asked again alone. `threads` 0
    leaves the number to torch; `dtype` auto is float32 on a CPU, bfloat16 on a GPU."""

    batch_size: int = 64
    batch_tokens: int = 32768
    exact: bool = True
    threads: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {self.batch_size}")
        if self.batch_tokens < 1:
            raise ValueError(f"batch_tokens must be at least 1, not {self.batch_tokens}")
        if self.threads < 0:
            raise ValueError(f"threads must be at least 0, not {self.threads}")
