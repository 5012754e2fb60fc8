"""Adapters that target parameters (peft's `target_parameters`): which parameter each LoRA is of,
and where the matrices of a layer's experts are in the official layout.

peft wraps a module once for each of its parameters that is targeted, in the order in which the
module has them, so that the last is outermost and has the shortest key (0.17 to 0.21). A has the
rows of one expert after another's, B has the experts of one rank side by side. Versions before
0.19 took (expert, out, in) for (expert, in, out), so that A and B change places: where `out` and
`in` differ, the shapes say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hubkit.sdk.errors import WeightsError
from hubkit.sdk.family import Experts, ModelFamily

from .adapters.adapter import Adapter, LoRA, Replacement, Wrapped
from .placement import WRONG_BASE, Edit, Slice, Span, Target, find, spellings
from .settings import lora_of

_AGAIN = "train it again with peft 0.19 or newer, or merge it with the peft that trained it"


@dataclass(frozen=True)
class _Found:
    """A LoRA of all experts: A is (count * rank, `width`), B (`height`, rank * count)."""

    lora: LoRA
    experts: Experts
    width: int
    height: int

    @property
    def square(self) -> bool:
        return self.experts.shape[1] == self.experts.shape[2]


class Stacks:
    """A family's experts by the name in memory of the module that has them."""

    def __init__(self, family: ModelFamily, config: Mapping[str, object]) -> None:
        tell = getattr(family, "experts", None)
        self.all: tuple[Experts, ...] = tuple(tell(config)) if tell else ()
        self.modules: dict[str, list[Experts]] = {}
        for one in self.all:
            self.modules.setdefault(one.name.rpartition(".")[0], []).append(one)

    def of(self, module: str) -> Sequence[Experts]:
        """Those of the module that the adapter calls so; it may be one of the LLM alone."""
        for name in spellings(module):
            if name in self.modules:
                return self.modules[name]
        end = f".{module.removeprefix('model.')}"
        ending = [name for name in self.modules if name.endswith(end)]
        return self.modules[ending[0]] if len(ending) == 1 else ()

    def named(self, tensor: str) -> Experts | None:
        module, _, last = tensor.rpartition(".")
        return next((one for one in self.of(module) if one.name.endswith(f".{last}")), None)


def explained(
    adapter: Adapter, known: Mapping[str, Target], stacks: Stacks, weight: float = 1.0
) -> tuple[Adapter, list[Edit]]:
    """`adapter` with LoRAs of modules in the place of `wrapped`, and the edits of what changes the
    experts, each on one official tensor.

    Raises:
        WeightsError: names a key that no parameter explains, or whose shape fits none.
    """
    for lora in adapter.loras:
        if stacks.of(lora.module):
            raise WeightsError(
                f"{adapter.name}: key {lora.up!r} is not used: it is of all experts of a layer, "
                "and adapter_config.json has no target_parameters that say of which parameter",
                "merge it with the program that trained it, or train it again with peft's "
                "target_parameters",
            )
    loras, found = list(adapter.loras), []
    for one in adapter.wrapped:
        if find(f"{one.module}.weight", known) and not one.depth:
            loras.append(_plain(adapter, one))
        else:
            found.append(_stacked(adapter, one, stacks))
    _check_saved(adapter, stacks, found)
    given: list[tuple[LoRA | Replacement, Experts, bool]] = [
        (one.lora, one.experts, _swapped(adapter, one, found)) for one in found
    ]
    rest = []
    for replacement in adapter.replacements:
        whole = stacks.named(replacement.tensor)
        if whole is None or (whole.stacked and whole.turned == whole.held_turned):
            rest.append(replacement)
        else:
            _check_shape(adapter, replacement, whole)
            given.append((replacement, whole, False))
    settled = replace(adapter, loras=tuple(loras), wrapped=(), replacements=tuple(rest))
    return settled, [
        Edit(settled, delta, target, weight, part=part)
        for delta, experts, swapped in given
        for target, part in _places(experts, swapped)
    ]


def _plain(adapter: Adapter, one: Wrapped) -> LoRA:
    """Of a module's weight, whether the module is targeted or the parameter."""
    weight = f"{one.module}.weight"
    name = weight if _targets(one, weight) else one.module
    rank, scale = one.settings.of([name], adapter.name)[name]
    return lora_of(adapter.name, adapter.source, one.module, one.parts, one.settings, rank, scale)


def _stacked(adapter: Adapter, one: Wrapped, stacks: Stacks) -> _Found:
    key = next(iter(one.parts.values()))
    targeted = [
        (f"{one.module}.{experts.name.rpartition('.')[2]}", experts)
        for experts in stacks.of(one.module)
    ]
    targeted = [(name, experts) for name, experts in targeted if _targets(one, name)]
    if one.depth >= len(targeted):
        raise WeightsError(
            f"{adapter.name}: key {key!r} is not used: target_parameters "
            f"({', '.join(one.settings.parameters)}) names no parameter of the base that it could "
            "be of",
            WRONG_BASE,
        )
    name, experts = targeted[-1 - one.depth]
    rank, scale = one.settings.of([name], adapter.name)[name]
    lora = lora_of(
        adapter.name,
        adapter.source,
        name,
        one.parts,
        one.settings,
        rank,
        scale,
        experts.shape[0],
    )
    width = adapter.source.tensors[lora.down].shape[1]
    height = adapter.source.tensors[lora.up].shape[0]
    _, out, wide = experts.shape
    if (height, width) not in ((out, wide), (wide, out)):
        raise WeightsError(
            f"{adapter.name} does not fit the base: {name!r} (rank {rank}) is for experts of "
            f"{(height, width)}, the base's are {(out, wide)}",
            WRONG_BASE,
        )
    return _Found(lora, experts, width, height)


def _check_saved(adapter: Adapter, stacks: Stacks, found: Sequence[_Found]) -> None:
    """peft wraps every parameter that has such a name."""
    held = {one.experts.name for one in found}
    for experts in stacks.all if adapter.wrapped else ():
        if _targets(adapter.wrapped[0], experts.name) and experts.name not in held:
            raise WeightsError(
                f"{adapter.name}: target_parameters names {experts.name!r}, of which the adapter "
                "holds nothing",
                "save the adapter again with it; if it was not trained, take it out of "
                "target_parameters",
            )


def _targets(one: Wrapped, name: str) -> bool:
    return any(name == end or name.endswith(f".{end}") for end in one.settings.parameters)


def _swapped(adapter: Adapter, one: _Found, found: Sequence[_Found]) -> bool:
    """Whether A and B have changed places. Of a square matrix the others of the adapter say it,
    since all were trained by one peft."""
    telling = [one] if not one.square else [other for other in found if not other.square]
    if not telling:
        raise WeightsError(
            f"{adapter.name}: experts' matrices are square ({one.width} x {one.height}), and "
            f"versions of peft read {one.lora.module!r} in different ways",
            _AGAIN,
        )
    return telling[0].width != telling[0].experts.shape[2]


def _check_shape(adapter: Adapter, replacement: Replacement, experts: Experts) -> None:
    shape = adapter.source.tensors[replacement.key].shape
    if shape != experts.shape:
        raise WeightsError(
            f"{adapter.name} does not fit the base: {replacement.key!r} is {shape}, "
            f"{experts.name!r} takes {experts.shape}",
            WRONG_BASE,
        )


def _places(experts: Experts, swapped: bool) -> Iterator[tuple[Target, Slice]]:
    count, out, wide = experts.shape
    if experts.stacked:
        shape = (count, wide, out) if experts.turned else experts.shape
        target = Target(experts.sources[0][0], (Span(0, count, 0),), shape)
        yield target, Slice(count, swapped, turned=experts.turned)
        return
    for number, sources in enumerate(experts.sources):
        height = out // len(sources)
        for place, source in enumerate(sources):
            rows = (Span(0, height, place * height),)
            yield Target(source, rows, (height, wide)), Slice(count, swapped, number)
