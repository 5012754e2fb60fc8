"""An adapter, however it was trained, as a PEFT folder that others can load; the base's weights are
not needed for it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hubkit.sdk.errors import WeightsError
from hubkit.sdk.family import ModelFamily, TensorMap
from hubkit.sdk.run import Run, SilentRun

from ..files.disk import write_json
from ..files.outside import read_config, read_json
from ..hygiene.local_paths import without_local_paths
from .adapters.adapter import Adapter, LoRA
from .adapters.formats import read_adapter
from .adapters.names import WEIGHTS
from .companions import written
from .convert import ConvertReport, Piece, blocks_of
from .diagnosis import check_floats
from .experts import Stacks, explained
from .header import build_header
from .placement import Target, find, place, targets
from .staging import staged
from .stream import Meter, write_file
from .tying import Tie, tie_of

Names = Literal["trained", "native"]
Rows = tuple[tuple[int, int], ...] | None
Natives = Mapping[str, Mapping[str, Target]]
"""The native tensors that each official one is cut into."""


@dataclass(frozen=True)
class _Part:
    """One tensor of the new folder: `rows` of the adapter's tensor `key`; None means all."""

    name: str
    key: str
    rows: Rows


def write_adapter(
    adapter: Path,
    out: Path,
    family: ModelFamily,
    base: Path,
    repository: str,
    *,
    names: Names = "trained",
    run: Run | None = None,
) -> ConvertReport:
    """Writes the PEFT folder `out` for the model that `base`'s config.json describes and the hub
    has as `repository`.

    With names "native" an adapter of the official layout is rewritten for transformers' own
    InternVL: a LoRA on a fused tensor becomes one on each of its parts, which share A and take
    their rows of B. That is exact.

    Raises:
        WeightsError: the adapter does not hold together or does not fit the base.
    """
    config: Mapping[str, Any] = read_config(base)
    opened = read_adapter(adapter)
    with opened.source as source:
        layout = family.layout(config)
        if tie := tie_of(family, config, layout):
            config, layout = tie.config, {**layout, tie.head: layout[tie.table]}
        maps = family.native(config).tensors
        known = targets(maps, layout)
        check_floats(source.tensors.values())
        settled, of_experts = explained(opened, known, Stacks(family, config))
        place(settled, known, placed_already=of_experts)
        alone = all(name.startswith("adapter_model") for name in source.shards)
        if names == "trained" and alone and (adapter / "adapter_config.json").is_file():
            recipe = {key: [Piece(key, 0, info.rows)] for key, info in source.tensors.items()}
            settings = without_local_paths(read_json(adapter, "adapter_config.json"))
        elif opened.wrapped:
            raise WeightsError(
                f"{opened.name}: peft's wrappers of parameters (target_parameters) have no other "
                "names than those of the training",
                "publish the merged model instead of the adapter",
            )
        else:
            recipe, settings = _rewritten(
                opened, known, _natives(maps, known) if names == "native" else {}
            )
            settings["ensure_weight_tying"] = tie is not None and _ties(opened, known, tie)
        settings["base_model_name_or_path"] = repository
        shapes = {name: _shape(opened, pieces) for name, pieces in recipe.items()}
        entries = [
            (name, source.tensors[recipe[name][0].name].dtype, shapes[name])
            for name in sorted(recipe)
        ]
        header = build_header(entries, WEIGHTS, {"format": "pt"})
        size = max(tensor.end for tensor in header.tensors)
        with staged(out, size) as folder:
            meter, jobs = Meter(size, run or SilentRun()), os.cpu_count() or 1
            file = write_file(
                folder, WEIGHTS, header.raw, blocks_of(source, header.tensors, recipe), meter, jobs
            )
            write_json(folder / "adapter_config.json", settings)
            source.check_unchanged()
            files = (written(folder, "adapter_config.json"), file)
    return ConvertReport(files, len(recipe))


def _ties(adapter: Adapter, known: Mapping[str, Target], tie: Tie) -> bool:
    """Whether table and head are to stay one where peft would train copies of them."""
    in_place = (find(one.tensor, known) for one in adapter.replacements if not one.copied)
    return adapter.tying or any(one and one.source in (tie.table, tie.head) for one in in_place)


def _natives(maps: Iterable[TensorMap], known: Mapping[str, Target]) -> Natives:
    natives: dict[str, dict[str, Target]] = {}
    for entry in maps:
        natives.setdefault(entry.source, {})[entry.name] = known[entry.name]
    return natives


def _rewritten(
    adapter: Adapter, known: Mapping[str, Target], natives: Natives
) -> tuple[dict[str, list[Piece]], dict[str, Any]]:
    """Where the new folder's tensors come from, and its LoraConfig."""
    loras = [
        (module, lora, rows)
        for lora in adapter.loras
        for module, rows in _modules(lora, known, natives)
    ]
    parts = [part for module, lora, rows in loras for part in _parts(module, lora, rows)]
    replaced = {
        name: _Part(f"base_model.model.{name}", replacement.key, rows)
        for replacement in adapter.replacements
        for name, rows in _places(replacement.tensor, known, natives)
    }
    _check_whole(adapter, replaced, {module for module, _, _ in loras}, known)
    recipe = {part.name: _pieces(adapter, part) for part in (*parts, *replaced.values())}
    return recipe, _config([(module, lora) for module, lora, _ in loras], replaced)


def _check_whole(
    adapter: Adapter, replaced: Collection[str], modules: set[str], known: Mapping[str, Target]
) -> None:
    """peft (0.21) stores a replaced module with all its tensors, and never one that has a LoRA
    too."""
    for module in sorted({name.rpartition(".")[0] for name in replaced}):
        others = [
            name for name in known if name.rpartition(".")[0] == module and name not in replaced
        ]
        if others or module in modules:
            why = f"{others[0]!r} is not among its tensors" if others else "it has a LoRA too"
            raise WeightsError(
                f"{adapter.name}: peft cannot store the module {module!r}: {why}",
                "publish the merged model instead of the adapter",
            )


def _places(name: str, known: Mapping[str, Target], natives: Natives) -> Iterator[tuple[str, Rows]]:
    """The names that the tensor `name` gets, each with its rows; its own when nothing native is
    asked for."""
    target = find(name, known)
    parts = (
        natives.get(target.source, {})
        if target is not None and target == known.get(target.source)
        else {}
    )
    for native, part in parts.items():
        rows = tuple((span.start, span.stop) for span in part.spans)
        yield native, (rows if part.shape != known[part.source].shape else None)
    if not parts:
        yield name, None


def _modules(
    lora: LoRA, known: Mapping[str, Target], natives: Natives
) -> Iterator[tuple[str, Rows]]:
    for name, rows in _places(f"{lora.module}.weight", known, natives):
        yield name.removesuffix(".weight"), rows


def _parts(module: str, lora: LoRA, rows: Rows) -> Iterator[_Part]:
    at = f"base_model.model.{module}.lora_"
    if lora.embedding:
        yield _Part(f"{at}embedding_A", lora.down, None)
        yield _Part(f"{at}embedding_B", lora.up, None)
        return
    yield _Part(f"{at}A.weight", lora.down, rows if lora.transposed else None)
    yield _Part(f"{at}B.weight", lora.up, None if lora.transposed else rows)
    if lora.magnitude is not None:
        yield _Part(f"{at}magnitude_vector", lora.magnitude, rows)
    if lora.bias is not None:
        yield _Part(f"{at}B.bias", lora.bias, rows)


def _pieces(adapter: Adapter, part: _Part) -> list[Piece]:
    info = adapter.source.tensors[part.key]
    return [Piece(part.key, start, stop) for start, stop in part.rows or ((0, info.rows),)]


def _shape(adapter: Adapter, pieces: list[Piece]) -> tuple[int, ...]:
    shape = adapter.source.tensors[pieces[0].name].shape
    return (sum(piece.stop - piece.start for piece in pieces), *shape[1:]) if shape else shape


def _config(loras: list[tuple[str, LoRA]], replaced: Collection[str]) -> dict[str, Any]:
    """A LoraConfig: what most modules have is r and lora_alpha, the rest are exceptions by full
    name."""
    kinds = Counter((lora.rank, _alpha(lora)) for _, lora in loras)
    rank, alpha = max(sorted(kinds), key=lambda kind: kinds[kind]) if kinds else (1, 1.0)
    return {
        "peft_type": "LORA",
        "inference_mode": True,
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {
            re.escape(module): lora.rank
            for module, lora in sorted(loras, key=_name)
            if lora.rank != rank
        },
        "alpha_pattern": {
            re.escape(module): _alpha(lora)
            for module, lora in sorted(loras, key=_name)
            if _alpha(lora) != alpha
        },
        "target_modules": sorted(module for module, _ in loras),
        "modules_to_save": sorted({name.rpartition(".")[0] for name in replaced}) or None,
        "use_dora": any(lora.magnitude is not None for _, lora in loras),
        "lora_bias": any(lora.bias is not None for _, lora in loras),
        "fan_in_fan_out": any(lora.transposed and not lora.embedding for _, lora in loras),
        "bias": "none",
        "lora_dropout": 0.0,
    }


def _name(item: tuple[str, LoRA]) -> str:
    return item[0]


def _alpha(lora: LoRA) -> float:
    """The alpha that gives the LoRA's scale at its rank, whole where it can be."""
    alpha = round(lora.scale * lora.rank, 9)
    return int(alpha) if alpha == int(alpha) else alpha
