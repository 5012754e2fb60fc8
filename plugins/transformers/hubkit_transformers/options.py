"""What may stand under `options` of this engine in release.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """`batch_size` is in records; `threads` 0 leaves the number to torch; `dtype` auto is float32
    on a CPU, bfloat16 on a GPU."""

    batch_size: int = 16
    threads: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {self.batch_size}")
        if self.threads < 0:
            raise ValueError(f"threads must be at least 0, not {self.threads}")
