"""The life of a model family."""

from __future__ import annotations

import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ..assembly import AssembledFamily, Assembly, Taken
from ..codec import decode, encode
from ..errors import UsageError
from ..family import ExpertFamily, ModelFamily, NativeModel, Problem, TensorMap
from ..outline import Outline, OutlineInput, OutliningFamily
from ..run import SilentRun
from ._base import ConformanceError, check_contract, require
from .cases import Parts

FOREIGN: tuple[Mapping[str, Any], ...] = (
    {},
    {"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
)


def check_family(
    plugin: ModelFamily,
    config: Mapping[str, Any],
    *,
    accepted: str,
    refused: str,
    folder: Path | None = None,
    preprocessor: Mapping[str, Any] | None = None,
    tokens: Mapping[str, int] | None = None,
    foreign: Sequence[Mapping[str, Any]] = FOREIGN,
    parts: Parts | None = None,
) -> int:
    """Everything the family says of the model with this `config`, against itself; how many tensors
    the model has.

    `accepted` and `refused` are repository names, `folder` is an official folder that `check` must
    pass, `tokens` the ids of its special tokens, `foreign` are configs of other families. `parts`
    is what a family that can be assembled is tried on.
    """
    check_contract(plugin, "family")
    before = json.dumps(config, sort_keys=True)
    require(plugin.recognises(config), "`recognises` says no to its own config")
    for other in foreign:
        require(not plugin.recognises(other), f"`recognises` claims a foreign config: {other}")
    if callable(getattr(plugin, "outline", None)):
        with tempfile.TemporaryDirectory(prefix="hubkit-family-") as place:
            plugin = _outlined(plugin, Path(place), config, tokens or {})  # type: ignore[arg-type]
        require(plugin.recognises(config), "what `outlined` gives does not recognise the config")
    layout = _check_layout(plugin, config)
    native = plugin.native(config)
    _check_native(native, layout)
    if tokens is not None:
        complete = plugin.native(config, tokens)
        same = (complete.tensors, complete.groups) == (native.tensors, native.groups)
        require(same, "`native` gives other tensors or groups when it is told the special tokens")
    _check_companions(plugin, config)
    _check_names(plugin, config, accepted, refused)
    vision = plugin.vision(config, preprocessor)
    counts = (vision.tile, vision.tokens_per_tile, vision.min_tiles, vision.max_tiles)
    require(
        min(counts) > 0 and vision.min_tiles <= vision.max_tiles,
        f"`vision` does not add up: {encode(vision)}",
    )
    _check_empty_folder(plugin, config)
    if folder is not None:
        problems = plugin.check(folder, config)
        require(not problems, f"`check` finds fault with an official folder: {encode(problems)}")
    if callable(getattr(plugin, "aliases", None)):
        _check_aliases(plugin, config, layout)  # type: ignore[arg-type]
    if callable(getattr(plugin, "experts", None)):
        _check_experts(plugin, config, layout)  # type: ignore[arg-type]
    if parts is not None:
        _check_assembly(plugin, parts)  # type: ignore[arg-type]
    require(
        json.dumps(config, sort_keys=True) == before, "a method changed the config it was given"
    )
    return len(layout)


def _outlined(
    plugin: OutliningFamily, folder: Path, config: Mapping[str, Any], tokens: Mapping[str, int]
) -> ModelFamily:
    """The family of this model. Its outline, which is kept as JSON, must survive that."""
    outline = plugin.outline(OutlineInput(config), SilentRun())
    kept = decode(Outline, json.loads(json.dumps(encode(outline))), "the outline")
    require(kept == outline, "`outline` gives what is not the same after it was kept as JSON")
    (folder / "added_tokens.json").write_text(json.dumps(tokens), "utf-8")
    return plugin.outlined(outline, folder, config)


def _check_empty_folder(plugin: ModelFamily, config: Mapping[str, Any]) -> None:
    """What is missing is a Problem, or for others to say, and never an error."""
    with tempfile.TemporaryDirectory(prefix="hubkit-family-") as empty:
        problems = plugin.check(Path(empty), config)
    require(
        all(isinstance(one, Problem) for one in problems),
        f"`check` gave {problems!r}, the contract says Problems",
    )
    bare = [one for one in problems if not (one.where and one.message and one.remedy)]
    require(not bare, f"`check` gave a Problem without place, message or remedy: {encode(bare)}")


def _check_layout(plugin: ModelFamily, config: Mapping[str, Any]) -> Mapping[str, tuple[int, ...]]:
    layout = plugin.layout(config)
    require(layout, "`layout` is empty")
    for name, shape in layout.items():
        good = isinstance(shape, tuple) and all(
            isinstance(size, int) and size > 0 for size in shape
        )
        require(
            good,
            f"`layout` gives {name} the shape {shape!r}, it must be a tuple of positive whole "
            "numbers",
        )
    require(dict(plugin.layout(config)) == dict(layout), "`layout` varies between two calls")
    total, said = (
        sum(math.prod(shape) for shape in layout.values()),
        plugin.describe(config).parameters,
    )
    require(total == said, f"`describe` counts {said:,} parameters, `layout` {total:,}")
    try:
        plugin.layout({})
    except UsageError:
        return layout
    raise ConformanceError("`layout` of an empty config must raise UsageError")


def _check_native(native: NativeModel, layout: Mapping[str, tuple[int, ...]]) -> None:
    names = [tensor.name for tensor in native.tensors]
    require(
        len(set(names)) == len(names),
        f"native names repeat: {sorted({one for one in names if names.count(one) > 1})[:5]}",
    )
    require(native.config, "`native` has no config")
    by_source: dict[str, list[TensorMap]] = defaultdict(list)
    for tensor in native.tensors:
        by_source[tensor.source].append(tensor)
    difference = sorted(set(by_source) ^ set(layout))
    require(
        not difference,
        f"`native` and `layout` do not name the same official tensors: {difference[:5]}",
    )
    for source, tensors in by_source.items():
        _check_rows(source, layout[source], tensors)
    require(
        {"llm", "vit", "projector"} <= set(native.groups),
        f"`groups` has the keys {sorted(native.groups)}, and lacks some of llm, vit, projector",
    )
    for key, group in native.groups.items():
        inside = [
            name
            for name in names
            if name == group.prefix or name.startswith(group.prefix.rstrip(".") + ".")
        ]
        require(inside, f"group {key}: no native tensor lies below {group.prefix!r}")
        for linear in group.linears:
            found = any(f".{name}".endswith(f".{linear}.weight") for name in inside)
            require(
                found, f"group {key}: no weight of a linear layer {linear!r} below {group.prefix!r}"
            )


def _check_rows(source: str, shape: tuple[int, ...], tensors: Sequence[TensorMap]) -> None:
    """The ranges of all native tensors of one official tensor cover its rows exactly once."""
    rows = shape[0] if shape else 1
    ranges = sorted(pair for tensor in tensors for pair in (tensor.rows or ((0, rows),)))
    at = 0
    for start, stop in ranges:
        require(
            start == at and stop > start,
            f"{source}: rows {start}..{stop} follow row {at}; each row must come exactly once",
        )
        at = stop
    require(at == rows, f"{source}: rows up to {at} are taken, the tensor has {rows}")


def _check_companions(plugin: ModelFamily, config: Mapping[str, Any]) -> None:
    companions = plugin.companions(config)
    required = [name for entry in companions.required for name in entry.split("|")]
    names = [*required, *companions.optional]
    require(required, "`companions` requires nothing, not even config.json")
    require(
        len(set(names)) == len(names),
        f"`companions` repeats {sorted({one for one in names if names.count(one) > 1})}",
    )
    for name in names:
        path = PurePosixPath(name)
        plain = name and not path.is_absolute() and ".." not in path.parts and "\\" not in name
        require(
            plain and path.suffix != ".safetensors",
            f"`companions` lists {name!r}; companions are files beside the weights",
        )


def _check_names(
    plugin: ModelFamily, config: Mapping[str, Any], accepted: str, refused: str
) -> None:
    said = plugin.repository_problem(accepted)
    require(said is None, f"`repository_problem` refuses {accepted!r}: {said}")
    require(
        plugin.repository_problem(refused), f"`repository_problem` has nothing against {refused!r}"
    )
    description, card = plugin.describe(config), plugin.card(config)
    require(description.family and description.description, "`describe` is empty")
    require(card.library_name and card.pipeline_tag, "`card` lacks library_name or pipeline_tag")
    for title, snippet in card.usage.items():
        require(
            "{repository}" in snippet, f"`card`: the snippet {title!r} does not name {{repository}}"
        )


def _check_aliases(
    plugin: AssembledFamily, config: Mapping[str, Any], layout: Mapping[str, tuple[int, ...]]
) -> None:
    by_source: dict[str, list[TensorMap]] = defaultdict(list)
    for alias in plugin.aliases(config):
        require(alias.name in layout, f"`aliases` names {alias.name}, which `layout` does not have")
        by_source[alias.source].append(alias)
    for source, tensors in by_source.items():
        _check_rows(source, (sum(layout[tensor.name][0] for tensor in tensors),), tensors)


def _check_experts(
    plugin: ExpertFamily, config: Mapping[str, Any], layout: Mapping[str, tuple[int, ...]]
) -> None:
    for one in plugin.experts(config):
        count, out, wide = one.shape
        each: tuple[int, ...] = (count, wide, out) if one.turned else one.shape
        if not one.stacked:
            require(len(one.sources) == count, f"`experts`: {one.name} is not of {count} experts")
            each = (out // len(one.sources[0]), wide)
        for source in (name for names in one.sources for name in names):
            require(
                layout.get(source) == each,
                f"`experts`: {one.name} takes {each} of {source}, `layout` has "
                f"{layout.get(source)}",
            )


def _check_assembly(plugin: AssembledFamily, parts: Parts) -> None:
    """Each official tensor comes from the parts, or starts fresh, in its whole height."""
    made = plugin.assemble(parts.llm, parts.vision, parts.image_token)
    require(
        isinstance(made, Assembly),
        f"`assemble` returned {type(made).__name__}, the contract says Assembly",
    )
    require(plugin.image_token_text, "`image_token_text` is empty")
    require(
        plugin.recognises(made.config), "`recognises` says no to the config that `assemble` made"
    )
    layout = plugin.layout(made.config)
    both, missing = (
        sorted(set(made.tensors) & set(made.fresh)),
        sorted({*made.tensors, *made.fresh} ^ set(layout)),
    )
    require(
        not both and not missing,
        f"`assemble` must give each tensor of `layout` once: twice {both[:5]}, differing "
        f"{missing[:5]}",
    )
    for name, shape in made.fresh.items():
        require(
            tuple(shape) == layout[name],
            f"`assemble` starts {name} with the shape {shape}, `layout` has {layout[name]}",
        )
    for name, taken in made.tensors.items():
        _check_taken(name, layout[name], taken)
    _check_native(plugin.native(made.config, {plugin.image_token_text: parts.image_token}), layout)
    try:
        plugin.assemble({}, {}, parts.image_token)
    except UsageError:
        return
    raise ConformanceError("`assemble` of two empty configs must raise UsageError")


def _check_taken(name: str, shape: tuple[int, ...], taken: Sequence[Taken]) -> None:
    require(
        taken and all(one.part in ("llm", "vision") for one in taken),
        f"`assemble` takes {name} from {encode(taken)}",
    )
    ranges = [pair for one in taken for pair in one.rows]
    require(
        all(0 <= start < stop for start, stop in ranges),
        f"`assemble` takes empty rows for {name}: {ranges[:5]}",
    )
    rows = sum(stop - start for start, stop in ranges)
    whole = any(not one.rows for one in taken)
    require(
        rows == shape[0] or (whole and rows < shape[0]),
        f"`assemble` takes {rows} rows for {name}, which has {shape[0]}",
    )
