"""What may stand under `train.options` for this trainer in release.yaml."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

DeepSpeed = Literal[
    "auto",
    "none",
    "zero1",
    "zero2",
    "zero2_offload",
    "zero3",
    "zero3_offload",
    "deepspeed_zero1",
    "deepspeed_zero2",
    "deepspeed_zero2_offload",
    "deepspeed_zero3",
    "deepspeed_zero3_offload",
]
_PREFIX = "deepspeed_"
"""Of these names in `xtuner train --deepspeed`."""

_POSITIVE = (
    "rank",
    "alpha",
    "batch_size",
    "accumulation",
    "epochs",
    "iterations",
    "learning_rate",
    "max_grad_norm",
    "max_length",
)
_AT_LEAST_ONE = ("save_every", "log_every", "devices", "nodes")
_NOT_NEGATIVE = (
    "dropout",
    "weight_decay",
    "warmup_ratio",
    "workers",
    "vit_rank",
    "keep_best",
    "threads",
    "node_rank",
)


@dataclass(frozen=True)
class Options:
    """An option left out keeps what the configuration says; that is `config`, a file of the user's
    own (its absolute path), or xtuner's `internvl_v2_internlm2_2b_lora_finetune`.

    An iteration takes `batch_size` records on each device; the optimizer steps every `accumulation`
    iterations. `iterations` overrides `epochs`. Checkpoints come every `save_every` iterations; the
    newest `keep` stay (-1: all), and the `keep_best` with the lowest training loss since the
    checkpoint before; `adapter` says which one is released. With `save_optimizer` a training that
    was interrupted continues exactly.

    `prompt` template trains with the text that the tokenizer's own chat template gives, so that
    every engine asks with the same; `xtuner` trains with xtuner's system line and its own template.
    `quantize` is QLoRA (4 bits; needs bitsandbytes). `vit_rank` above 0 gives the vision tower a
    LoRA as well. `deepspeed` auto is zero2 on GPUs; xtuner's own names (deepspeed_zero2) mean the
    same. `attention` auto is torch's in hubkit's own
    modules; with remote code flash_attention_2 where flash-attn is installed, else eager.

    The folder's own Python code is run with `allow_remote_code` only; without it hubkit's modules
    are trained, which have the same parameter names. On several nodes `node_rank`, `master_addr`
    and `master_port` are as torchrun's, and the scratch folder is shared. `resume` continues a
    checkpoint, `load_from` only takes its weights (absolute paths).
    """

    config: str = ""
    prompt: Literal["template", "xtuner"] = "template"
    allow_remote_code: bool = False
    rank: int | None = None
    alpha: float | None = None
    dropout: float | None = None
    vit_rank: int = 0
    vit_alpha: float = 16.0
    quantize: bool = False
    max_length: int | None = None
    batch_size: int | None = None
    accumulation: int | None = None
    epochs: float | None = None
    iterations: int | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    max_grad_norm: float | None = None
    warmup_ratio: float | None = None
    workers: int | None = None
    log_every: int | None = None
    save_every: int | None = None
    save_optimizer: bool = True
    keep: int | None = None
    keep_best: int = 0
    adapter: Literal["last", "best"] = "last"
    deepspeed: DeepSpeed = "auto"
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    nodes: int = 1
    node_rank: int = 0
    master_addr: str = ""
    master_port: int = 29500
    resume: str = ""
    load_from: str = ""
    threads: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "deepspeed", self.deepspeed.removeprefix(_PREFIX))
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
        for name in _POSITIVE:
            if name in numbers and not 0 < numbers[name] < float("inf"):
                raise ValueError(f"{name} must be above 0, not {numbers[name]}")
        for name in _AT_LEAST_ONE:
            if name in numbers and numbers[name] < 1:
                raise ValueError(f"{name} must be at least 1, not {numbers[name]}")
        for name in _NOT_NEGATIVE:
            if name in numbers and not 0 <= numbers[name] < float("inf"):
                raise ValueError(f"{name} must be at least 0, not {numbers[name]}")
        for name in ("dropout", "warmup_ratio"):
            if name in numbers and numbers[name] >= 1:
                raise ValueError(f"{name} must be below 1, not {numbers[name]}")
        if self.keep is not None and (self.keep == 0 or self.keep < -1):
            raise ValueError(f"keep must be at least 1, or -1 for all, not {self.keep}")
        if self.adapter == "best" and not self.keep_best:
            raise ValueError("adapter: best needs keep_best: 1 or more")
        if self.node_rank >= self.nodes:
            raise ValueError(f"node_rank must be below nodes ({self.nodes}), not {self.node_rank}")
        if self.nodes > 1 and not self.master_addr:
            raise ValueError("several nodes need master_addr, the address of node 0")
        for name in ("config", "resume", "load_from"):
            path = values[name]
            if path and not Path(path).expanduser().is_absolute():
                raise ValueError(f"{name} must be an absolute path, not {path!r}")
