"""Layers of experts: Qwen3-MoE's, and GPT-OSS's."""

from __future__ import annotations

from collections.abc import Iterator

from hubkit.sdk.families import Mixture, Section, sparse_layers

from .parts import Part, whole
from .settings import Settings


def layers(kind: str, llm: Settings) -> Iterator[int]:
    """The layers that have experts. All of GPT-OSS's do."""
    if kind:
        yield from sparse_layers(_section(llm))


def mixture(kind: str, llm: Settings) -> Mixture:
    """GPT-OSS's config.json calls the experts' width `intermediate_size`."""
    if kind == "stacked":
        hidden, inner = llm.size("hidden_size"), llm.size("intermediate_size")
        count = llm.size("num_local_experts")
        return Mixture(count, hidden, inner, stacked=True, held_turned=True)
    return Mixture.of(_section(llm), stacked=False)


def parts(kind: str, llm: Settings, old: str, new: str) -> Iterator[Part]:
    """`old` and `new` are the layer's `mlp.`, as it is called officially and natively."""
    own = mixture(kind, llm)
    if kind == "apart":
        for name, shape in own.shapes(""):
            yield whole(f"{old}{name}", f"{new}{name}", *shape)
        return
    biases = (
        ("router.weight", (own.count, own.hidden)),
        ("router.bias", (own.count,)),
        ("experts.gate_up_proj_bias", (own.count, 2 * own.inner)),
        ("experts.down_proj_bias", (own.count, own.hidden)),
    )
    for name, shape in (*own.matrices(""), *biases):
        yield whole(f"{old}{name}", f"{new}{name}", *shape)


def _section(llm: Settings) -> Section:
    return Section({"llm_config": llm.values}, "llm_config")
