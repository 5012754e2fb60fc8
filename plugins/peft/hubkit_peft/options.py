"""What may stand under `train.options` for this trainer in release.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """`lora` and `full` name module groups (`llm`, `vit`, `mlp1`): those that get a LoRA and those that are trained whole;
    all else is frozen. `steps` counts optimizer steps and, when it is not 0, overrides `epochs`. A step takes `accumulation`
    batches of `batch_size` records. `max_length` is in tokens, image positions included. `threads` 0 leaves the number to
    torch. `precision` auto is float32 on a CPU, bfloat16 on a GPU; what is trained is always kept in float32.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    lora: tuple[str, ...] = ("llm",)
    full: tuple[str, ...] = ("mlp1",)
    epochs: float = 3.0
    steps: int = 0
    batch_size: int = 8
    accumulation: int = 1
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    warmup_ratio: float = 0.03
    max_grad_norm: float = 1.0
    max_length: int = 4096
    threads: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    gradient_checkpointing: bool = False
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        for name in ("rank", "batch_size", "accumulation", "max_length", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("alpha", "learning_rate", "max_grad_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("dropout", "warmup_ratio"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, not {getattr(self, name)}")
        for name in ("steps", "threads", "weight_decay"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")
        if not self.steps and not 0 < self.epochs < float("inf"):
            raise ValueError(f"epochs must be above 0, not {self.epochs}")
        if not self.lora:
            raise ValueError("lora must name at least one group")
        if both := sorted(set(self.lora) & set(self.full)):
            raise ValueError(f"{', '.join(both)} cannot be in both lora and full")
