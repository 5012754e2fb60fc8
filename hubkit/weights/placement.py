"""Where an adapter's deltas land: rows of the official tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from hubkit.sdk.errors import WeightsError
from hubkit.sdk.family import TensorMap

from .adapters.adapter import Adapter, LoRA, Replacement
from .adapters.names import modules_of
from .diagnosis import by_token

_RENAMED = (
    ("language_model.model.", "model.language_model."),
    ("language_model.lm_head.", "lm_head."),
    ("vision_tower.", "model.vision_tower."),
    ("multi_modal_projector.", "model.multi_modal_projector."),
)
"""transformers >= 4.52 writes a native model's tensors under the names on the left and holds them
under those on the right."""

WRONG_BASE = "give the base that the adapter was trained on"


@dataclass(frozen=True)
class Span:
    """Rows `start` to `stop` of an official tensor are the rows from `offset` on of the adapter's
    or native tensor."""

    start: int
    stop: int
    offset: int


@dataclass(frozen=True)
class Target:
    """A native (or official) tensor as rows of the official tensor `source`; `shape` is its own."""

    source: str
    spans: tuple[Span, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Slice:
    """What of an adapter's tensors for `count` experts an official tensor takes: those of
    `expert`, or of all where it is None, and then as (expert, in, out) where `turned`. `swapped`: A
    is of `out`, B of `in`."""

    count: int
    swapped: bool
    expert: int | None = None
    turned: bool = False


@dataclass(frozen=True)
class Edit:
    """One delta on one official tensor. `target` is the tensor as the adapter sees it; the change
    is multiplied by `weight`. `part` is for tensors of experts."""

    adapter: Adapter
    delta: LoRA | Replacement
    target: Target
    weight: float
    bias: bool = False
    """The delta is the LoRA's bias, and the target the module's."""
    part: Slice | None = None


def targets(maps: Iterable[TensorMap], layout: Mapping[str, tuple[int, ...]]) -> dict[str, Target]:
    """Every name that an adapter may use, native and official."""
    found = {name: Target(name, _spans((), shape), shape) for name, shape in layout.items()}
    for entry in maps:
        shape = layout[entry.source]
        rows = sum(stop - start for start, stop in entry.rows)
        own = (rows, *shape[1:]) if entry.rows else shape
        found[entry.name] = Target(entry.source, _spans(entry.rows, shape), own)
    return found


def _spans(rows: tuple[tuple[int, int], ...], shape: tuple[int, ...]) -> tuple[Span, ...]:
    spans, offset = [], 0
    for start, stop in rows or ((0, shape[0] if shape else 1),):
        spans.append(Span(start, stop, offset))
        offset += stop - start
    return tuple(spans)


def alias_targets(
    maps: Iterable[TensorMap], layout: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[Target, ...]]:
    """For each tensor of another layout, the official tensors that its rows are in: each map's
    `name` is official and is `rows` of `source`. A target's shape is that of the whole other
    tensor, its spans are the rows that go to the official one."""
    entries = list(maps)
    heights: dict[str, int] = {}
    for entry in entries:
        heights[entry.source] = heights.get(entry.source, 0) + layout[entry.name][0]
    found: dict[str, tuple[Target, ...]] = {}
    for entry in entries:
        spans, at = [], 0
        for start, stop in entry.rows or ((0, heights[entry.source]),):
            spans.append(Span(at, at + stop - start, start))
            at += stop - start
        shape = (heights[entry.source], *layout[entry.name][1:])
        found[entry.source] = (
            *found.get(entry.source, ()),
            Target(entry.name, tuple(spans), shape),
        )
    return found


def spellings(name: str) -> Iterator[str]:
    """`name`, and as transformers holds it in memory when it is written differently on disk."""
    yield name
    for written, held in _RENAMED:
        if name.startswith(written):
            yield held + name[len(written) :]


def find(name: str, known: Mapping[str, Target]) -> Target | None:
    """The target that `name` means: the same name, or the only one that ends with it (an adapter of
    the LLM alone).

    Raises:
        WeightsError: several tensors end with the name.
    """
    for spelling in spellings(name):
        if spelling in known:
            return known[spelling]
    for end in (name, name.removeprefix("model.")):
        if end in known:
            return known[end]
        ending = {target for full, target in known.items() if full.endswith(f".{end}")}
        if len(ending) == 1:
            return ending.pop()
        if ending:
            raise WeightsError(
                f"{name!r} could be any of {', '.join(sorted({t.source for t in ending}))}",
                "save the adapter from the whole model",
            )
    return None


def place(
    adapter: Adapter,
    known: Mapping[str, Target],
    weight: float = 1.0,
    aliases: Mapping[str, tuple[Target, ...]] | None = None,
    placed_already: Iterable[Edit] = (),
) -> dict[str, list[Edit]]:
    """The adapter's edits by official tensor, replacements first. `aliases` are names of another
    layout (alias_targets); `placed_already` are edits of the same adapter.

    Raises:
        WeightsError: names every key without a place, and every shape that does not fit; or says
            that the vocabulary was resized, or which module that was trained is missing.
    """
    edits: list[Edit] = list(placed_already)
    problems: list[str] = []
    for replacement in adapter.replacements:
        for target in _places(replacement.tensor, replacement.key, known, aliases or {}, problems):
            _check_replacement(adapter, replacement, target, problems)
            edits.append(Edit(adapter, replacement, target, weight))
    for lora in adapter.loras:
        for target in _places(f"{lora.module}.weight", lora.up, known, aliases or {}, problems):
            _check_lora(adapter, lora, target, problems)
            edits.append(Edit(adapter, lora, target, weight))
        if lora.bias is not None and (
            own := _place(f"{lora.module}.bias", lora.bias, known, problems)
        ):
            _check_replacement(
                adapter, Replacement(f"{lora.module}.bias", lora.bias), own, problems
            )
            edits.append(Edit(adapter, lora, own, weight, bias=True))
    if problems:
        _check_vocabulary(adapter, edits, problems)
        more = f"; and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise WeightsError(
            f"{adapter.name} does not fit the base: {'; '.join(problems[:8])}{more}", WRONG_BASE
        )
    _check_saved(adapter, known)
    placed: dict[str, list[Edit]] = {}
    for edit in edits:
        placed.setdefault(edit.target.source, []).append(edit)
    for name, found in placed.items():
        _check_once(adapter, name, found)
    return placed


def _places(
    name: str,
    key: str,
    known: Mapping[str, Target],
    aliases: Mapping[str, tuple[Target, ...]],
    problems: list[str],
) -> tuple[Target, ...]:
    if name in aliases:
        return aliases[name]
    target = _place(name, key, known, problems)
    return () if target is None else (target,)


def _place(name: str, key: str, known: Mapping[str, Target], problems: list[str]) -> Target | None:
    target = find(name, known)
    if target is None:
        problems.append(f"key {key!r} is not used: the base has no tensor {name!r}")
    return target


def _check_vocabulary(adapter: Adapter, edits: Iterable[Edit], problems: list[str]) -> None:
    """peft saves tables by token whole when the training resized them."""
    resized = [
        rows
        for edit in edits
        if by_token(edit.target.source) and (rows := _rows(edit)) != edit.target.shape[0]
    ]
    if len(set(resized)) == 1 and len(problems) == len(resized):
        raise WeightsError(
            f"{adapter.name} was trained with another vocabulary: {'; '.join(problems)}",
            "resize the base as the training did, with transformers' "
            f"resize_token_embeddings({resized[0]}), save it with the training's tokenizer and "
            "give that; or train without resizing",
        )


def _check_saved(adapter: Adapter, known: Iterable[str]) -> None:
    """Of a module that the base has not, peft trains no copy; of tied ones it may save one."""
    modules = {module for name in known for module in modules_of(name)} if adapter.unsaved else ()
    for end in adapter.unsaved:
        module = next((one for one in sorted(modules) if one.endswith(end)), None)
        if module and not (adapter.tying and by_token(f"{module}.weight")):
            raise WeightsError(
                f"{adapter.name}: modules_to_save names {end!r} ({module}), of which the adapter "
                "holds nothing",
                "save the adapter again with that module; if it was not trained, take it out of "
                "modules_to_save",
            )


def _rows(edit: Edit) -> int:
    """Of the module's weight, as the adapter has it."""
    tensors, delta = edit.adapter.source.tensors, edit.delta
    if isinstance(delta, Replacement):
        return tensors[delta.key].rows
    return tensors[delta.down].shape[1] if delta.transposed else tensors[delta.up].rows


def _check_replacement(
    adapter: Adapter, replacement: Replacement, target: Target, problems: list[str]
) -> None:
    shape = adapter.source.tensors[replacement.key].shape
    if shape != target.shape:
        problems.append(f"{replacement.key!r} is {shape}, {target.source!r} takes {target.shape}")


def _check_lora(adapter: Adapter, lora: LoRA, target: Target, problems: list[str]) -> None:
    (rank, width), (height, _) = (
        adapter.source.tensors[lora.down].shape,
        adapter.source.tensors[lora.up].shape,
    )
    shape = (width, height) if lora.transposed else (height, width)
    if shape != target.shape:
        problems.append(
            f"{lora.module!r} (rank {rank}) is for {shape}, {target.source!r} takes {target.shape}"
        )


def _check_once(adapter: Adapter, name: str, edits: list[Edit]) -> None:
    for kind in (LoRA, Replacement):
        spans = sorted(
            (
                span.start,
                span.stop,
                edit.delta.module if isinstance(edit.delta, LoRA) else edit.delta.key,
            )
            for edit in edits
            if isinstance(edit.delta, kind)
            for span in edit.target.spans
        )
        for (_, stop, first), (start, _, second) in pairwise(spans):
            if start < stop:
                raise WeightsError(
                    f"{adapter.name}: {first!r} and {second!r} both change the same rows of "
                    f"{name!r}",
                    "save the adapter again",
                )
