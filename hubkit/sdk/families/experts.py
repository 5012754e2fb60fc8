"""Layers of experts, as Qwen3's and GPT-OSS's: names, shapes and what transformers holds in memory
of them (checked with 5.23)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..family import Experts
from .blocks import Shapes
from .section import Section

EXPERTS = ("experts.gate_up_proj", "experts.down_proj")
"""Ends of the names of parameters that hold a matrix of all experts."""
_EVERY, _DENSE = "decoder_sparse_step", "mlp_only_layers"


@dataclass(frozen=True)
class Mixture:
    """`count` experts of a layer, `inner` wide. Published weights hold those of one layer in one
    tensor, (expert, in, out), where `stacked` says so; or each one's in tensors of its own.
    `held_turned` as in Experts."""

    count: int
    hidden: int
    inner: int
    stacked: bool
    held_turned: bool = False

    @staticmethod
    def of(text: Section, stacked: bool) -> Mixture:
        """transformers 5 may write `num_local_experts`."""
        key = "num_local_experts" if "num_local_experts" in text.values else "num_experts"
        inner = text.size("moe_intermediate_size")
        return Mixture(text.size(key), text.size("hidden_size"), inner, stacked)

    def shapes(self, at: str) -> Shapes:
        """`at` is the layer's `mlp.`; its router included."""
        yield f"{at}gate.weight", (self.count, self.hidden)
        yield from self.matrices(at)

    def matrices(self, at: str) -> Shapes:
        if self.stacked:
            yield f"{at}experts.gate_up_proj", (self.count, self.hidden, 2 * self.inner)
            yield f"{at}experts.down_proj", (self.count, self.inner, self.hidden)
            return
        for number in range(self.count):
            own = f"{at}experts.{number}."
            yield f"{own}gate_proj.weight", (self.inner, self.hidden)
            yield f"{own}up_proj.weight", (self.inner, self.hidden)
            yield f"{own}down_proj.weight", (self.hidden, self.inner)

    def experts(self, held: str, at: str) -> Iterator[Experts]:
        """In the order in which the class declares them; `held` is what `at` is in memory."""
        for name, shape, parts in (
            ("gate_up_proj", (2 * self.inner, self.hidden), ("gate_proj", "up_proj")),
            ("down_proj", (self.hidden, self.inner), ("down_proj",)),
        ):
            each = tuple(
                tuple(f"{at}experts.{number}.{part}.weight" for part in parts)
                for number in range(self.count)
            )
            whole = ((f"{at}experts.{name}",),)
            sources = whole if self.stacked else each
            yield Experts(
                f"{held}experts.{name}",
                (self.count, *shape),
                sources,
                self.stacked,
                self.held_turned,
            )


def sparse_layers(text: Section) -> Iterator[int]:
    """The layers that have experts.

    Raises:
        UsageError: `mlp_only_layers` is not a list.
    """
    dense, every = text.values.get(_DENSE, ()), text.size(_EVERY, 1)
    if not isinstance(dense, (list, tuple)):
        raise text.wrong(_DENSE, "is not a list of layers")
    for number in range(text.size("num_hidden_layers")):
        if number not in dense and (number + 1) % every == 0:
            yield number
