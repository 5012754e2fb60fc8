"""What may stand under `options` of this exporter in release.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """`group` is how many weights of a row share a scale in w4a16; every linear layer's input must
    be a multiple of it. `threads` 0 leaves the number to torch."""

    scheme: Literal["fp8", "w8a8", "w4a16"] = "fp8"
    group: Literal[32, 64, 128] = 128
    threads: int = 0

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise ValueError(f"threads must be at least 0, not {self.threads}")
