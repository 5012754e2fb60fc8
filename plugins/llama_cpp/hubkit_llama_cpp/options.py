"""What may stand under `options` of this engine in release.yaml."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """`threads` 0 leaves the number to llama.cpp; `context` 0 is the model's own length, in
    tokens; `gpu_layers` -1 leaves to llama.cpp how much goes onto a GPU."""

    threads: int = 0
    context: int = 0
    gpu_layers: int = -1

    def __post_init__(self) -> None:
        if self.threads < 0 or self.context < 0 or self.gpu_layers < -1:
            raise ValueError("threads and context must be at least 0, gpu_layers at least -1")
