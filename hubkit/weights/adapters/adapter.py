"""What an adapter does to its base, as a list of deltas: low-rank updates and replaced tensors. No
tensor is loaded here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..checkpoint import Checkpoint

if TYPE_CHECKING:
    from ..settings import Settings


@dataclass(frozen=True)
class LoRA:
    """`W += scale * B @ A` for the module's weight W of shape (out, in).

    `down` and `up` are the keys of A (rank, in) and B (out, rank). With `transposed` the weight is
    stored as (in, out), as embeddings and Conv1D layers are. With `magnitude` (a key; DoRA, shape
    (out)) each row of the updated W is scaled to that norm. `bias` is the key of what is added,
    times `scale`, to the module's bias.
    """

    module: str
    down: str
    up: str
    rank: int
    scale: float
    transposed: bool = False
    magnitude: str | None = None
    bias: str | None = None
    embedding: bool = False
    """peft keeps an embedding's A and B under names of their own; `transposed` is then true."""


@dataclass(frozen=True)
class Replacement:
    """The tensor `key` of the adapter takes the place of `tensor`.

    `copied`: peft trained a copy of the module (modules_to_save). Whatever shares the tensor with
    that module keeps the base's.
    """

    tensor: str
    key: str
    copied: bool = False


@dataclass(frozen=True)
class Wrapped:
    """The LoRA of an adapter that targets parameters (peft's `target_parameters`): which parameter
    of `module` it changes, and so its rank, only the model says. `depth` counts the wrappers of
    other parameters around it on the same module; `parts` are its keys (`A`, `B`)."""

    module: str
    depth: int
    parts: Mapping[str, str]
    settings: Settings


@dataclass(frozen=True)
class Adapter:
    """Every key of `source` is used by exactly one of `loras`, `wrapped` and `replacements`. `name`
    is for messages. `tying`: what happens to the embedding table happens to an output head that
    shares it (peft's ensure_weight_tying). `base` is the base that the adapter names, if any.
    `unsaved` are ends of names of modules that peft trained a copy of, and that no key belongs
    to."""

    name: str
    source: Checkpoint
    loras: tuple[LoRA, ...]
    replacements: tuple[Replacement, ...]
    tying: bool = False
    base: str = ""
    unsaved: tuple[str, ...] = ()
    wrapped: tuple[Wrapped, ...] = ()
