"""What may stand under `train.options` for this trainer in release.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Options:
    """What is trained, and how.

    `lora` and `full` name module groups (`llm`, `vit`, `projector`): those that get a LoRA and
    those that are trained whole; all else is frozen. `lora` may be empty, as when a new projector
    learns first. With `experts` the matrices of a mixture's experts have LoRAs too (peft's
    `target_parameters`), each expert one of rank `rank`. `steps` counts optimizer steps and, when
    it is not 0, overrides `epochs`. A step takes `accumulation` batches of `batch_size` records on
    each GPU; `batch_size` 0 takes the largest of 1, 2, 4, 8, 16 that memory is predicted to hold.
    `max_length` is in tokens, image positions included. `validation` records are set aside, by the
    seed, and their loss is taken every `validate_every` steps (0: once an epoch) and at the end;
    `keep` says which state becomes the adapter.

    Where and in what form. `threads` 0 leaves the number to torch. `precision` auto is float32 on a
    CPU, bfloat16 on a GPU; what is trained is always kept in float32. `quantize` keeps the frozen
    language model in 4 or 8 bits (extra `qlora`). `gpus` 0 takes all that are visible; `shard`
    keeps the frozen weights in shares over them (auto: where memory would not hold them whole
    otherwise). `deterministic` auto is true on a CPU; on a GPU it costs speed.

    How fast; none of these changes what is learnt beyond rounding. `implementation` auto is
    hubkit's own arrangement where it knows the model, `plain` is transformers' and PEFT's modules.
    `compile` auto is true on a GPU, where there are a C compiler and Python's headers; what was
    compiled is kept for the next training, in hubkit's cache folder. `packing` auto pads a batch's
    samples to one length where that costs less than 8 %.
    `gradient_checkpointing` auto is as predicted memory asks. What a frozen ViT of InternVL or
    Qwen-VL makes of the pictures is kept for later epochs, unless its weights are in shares:
    `cache_vision` auto does so where all of it fits on the GPU, a number takes up to so many GiB,
    of the host's memory where the GPU has less to spare.
    `workers` -1 reads pictures in 4 threads on a GPU.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    lora: tuple[str, ...] = ("llm",)
    full: tuple[str, ...] = ("projector",)
    experts: bool = False
    epochs: float = 3.0
    steps: int = 0
    batch_size: int = 8
    accumulation: int = 1
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    warmup_ratio: float = 0.03
    max_grad_norm: float = 1.0
    max_length: int = 4096
    validation: int = 0
    validate_every: int = 0
    keep: Literal["last", "best"] = "last"
    threads: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    gpus: int = 1
    shard: Literal["auto", "always", "never"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    quantize: Literal["none", "4bit", "8bit"] = "none"
    deterministic: bool | Literal["auto"] = "auto"
    implementation: Literal["auto", "plain"] = "auto"
    compile: bool | Literal["auto"] = "auto"
    packing: Literal["auto", "always", "never"] = "auto"
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    cache_vision: float | Literal["auto"] = "auto"
    workers: int = -1
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        for name in ("rank", "accumulation", "max_length", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("alpha", "learning_rate", "max_grad_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("dropout", "warmup_ratio"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be at least 0 and below 1, not {getattr(self, name)}"
                )
        for name in (
            "steps",
            "threads",
            "weight_decay",
            "batch_size",
            "gpus",
            "validation",
            "validate_every",
            "cache_vision",
        ):
            if getattr(self, name) != "auto" and not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")
        if not self.steps and not 0 < self.epochs < float("inf"):
            raise ValueError(f"epochs must be above 0, not {self.epochs}")
        if not (self.lora or self.full):
            raise ValueError("lora or full must name at least one group")
        if both := sorted(set(self.lora) & set(self.full)):
            raise ValueError(f"{', '.join(both)} cannot be in both lora and full")
        if self.experts and self.dropout:
            raise ValueError("experts needs dropout: 0, as peft has none for parameters")
        if self.keep == "best" and not self.validation:
            raise ValueError("keep: best needs validation, a number of records to judge by")
        if self.quantize != "none" and self.shard == "always":
            raise ValueError("quantize and shard: always exclude each other")
        if self.quantize != "none" and "llm" in self.full:
            raise ValueError("quantize and llm in full exclude each other")

    def readers(self, device: str) -> int:
        """Threads that read pictures; 0 where that is done when it is asked for."""
        return self.workers if self.workers >= 0 else (0 if device == "cpu" else 4)

    @property
    def fast(self) -> bool:
        """Whether hubkit's own arrangement is taken where it knows the model."""
        return self.implementation == "auto" and self.quantize == "none"
