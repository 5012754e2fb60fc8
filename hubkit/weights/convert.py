"""Official layout to transformers' native layout and back: rows of bytes are moved, no number is
touched."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from hubkit.sdk.checkpoints.compressed import is_compressed
from hubkit.sdk.errors import WeightsError
from hubkit.sdk.family import ModelFamily
from hubkit.sdk.run import Run, SilentRun
from hubkit.sdk.tokens import token_ids

from ..files.disk import write_json
from ..files.outside import inside, read_config
from ..files.pointers import refuse_pointers
from .checkpoint import Checkpoint, Shard
from .companions import INDEX, carry, carry_index, companion_bytes, written
from .copies import copies_of
from .header import Header, TensorInfo, build_header
from .merge import check_layout, split
from .model import Model
from .native_files import write_native_files
from .placement import WRONG_BASE, Target, spellings, targets
from .staging import staged
from .stream import Block, Meter, WrittenFile, write_file

_SHARD = 5 * 10**9
"""Bytes of a shard when no model says otherwise; transformers' own default."""


_SAME = re.compile(
    r"num_.*|.*_eps|.*_act|rope_type|rope_theta|factor|downsample_ratio|vision_feature_.*|tie_.*|use_qk_norm|norm_type"
)


@dataclass(frozen=True)
class ConvertReport:
    """`files` are all files written, by path; `tensors` counts those of the output."""

    files: tuple[WrittenFile, ...]
    tensors: int


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `stop` of the tensor `name` of the input."""

    name: str
    start: int
    stop: int


Recipe = Mapping[str, Sequence[Piece]]
"""For each tensor of the output, what it is put together from along dimension 0."""


def to_native(
    model: Model,
    out: Path,
    run: Run | None = None,
    *,
    jobs: int = 0,
    names: Mapping[str, str] | None = None,
) -> ConvertReport:
    """Writes the official model as transformers loads it without remote code, shard by shard.
    `names` are what to call tensors instead of by their native names.

    Raises:
        WeightsError: the weights do not hold together or do not fit config.json.
        UsageError: a file is missing, or `out` is there already.
        EnvironmentFailure: the disk is too small.
    """
    folder, family, config = model.folder, model.family, model.config
    refuse_pointers(folder)
    native, called = family.native(config, token_ids(folder)), names or {}
    with Checkpoint.open(folder) as opened:
        weights, layout = check_layout(opened, family, config)
        known = targets(native.tensors, layout)
        parts: dict[str, list[str]] = {}
        for entry in native.tensors:
            parts.setdefault(entry.source, []).append(entry.name)
        recipe = {
            called.get(entry.name, entry.name): [
                Piece(entry.source, span.start, span.stop) for span in known[entry.name].spans
            ]
            for entry in native.tensors
        }
        headers = [
            build_header(
                (
                    (called.get(name, name), t.dtype, known[name].shape)
                    for t in shard.header.tensors
                    for name in parts.get(t.name, ())
                ),
                shard.name,
                {"format": "pt"},
            )
            for shard in weights.shards.values()
        ]
        with staged(out, weights.total_size + companion_bytes(folder, family, config)) as partial:
            files = _write(partial, weights, headers, recipe, run, jobs) + indexed(partial, headers)
            files += write_native_files(folder, partial, native, family, config)
            weights.check_unchanged()
    for note in native.notes:
        (run or SilentRun()).note(note)
    return ConvertReport(tuple(sorted(files, key=lambda file: file.path)), len(recipe))


def native_view(model: Model, place: Path, run: Run) -> Path:
    """`model` as transformers loads it, written to `place` unless it is there already; the folder
    itself where its weights are compressed, since such folders are written for transformers."""
    if is_compressed(model.config):
        return model.folder
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        run.note(f"writing the transformers view of {model.folder.name}")
        to_native(model, place, run)
    return place


def to_official(
    native: Path,
    out: Path,
    family: ModelFamily,
    like: Path,
    run: Run | None = None,
    *,
    jobs: int = 0,
) -> ConvertReport:
    """Writes the native model back in the official layout; config.json, companion files and shards
    are as in `like`, an official folder of the same model, whose weights may be absent.

    Raises:
        WeightsError: the native tensors or settings are not those that `like`'s config.json asks
            for.
    """
    refuse_pointers(native)
    config = read_config(like)
    view = family.native(config)
    _check_settings(read_config(native), view.config, like.name)
    with Checkpoint.open(native) as weights:
        layout = family.layout(config)
        maps = view.tensors
        known = targets(maps, layout)
        recipe = _reverse(weights, {entry.name: known[entry.name] for entry in maps}, layout)
        count = len(recipe)
        copies = copies_of(family, config).items()
        recipe = {**recipe, **{name: recipe[of] for name, of in copies}}
        headers, alike = _official_headers(weights, recipe, family, config, like)
        with staged(out, weights.total_size + companion_bytes(like, family, config)) as partial:
            files = _write(partial, weights, headers, recipe, run, jobs)
            files += carry_index(like, partial) if alike else indexed(partial, headers)
            files += carry(like, partial, family, config)
            weights.check_unchanged()
    return ConvertReport(tuple(sorted(files, key=lambda file: file.path)), count)


def _check_settings(own: Mapping[str, Any], view: Mapping[str, Any], like: str) -> None:
    """What shapes do not show, heads and norms for example, must be as in `like`: its config.json
    is the one that is kept."""
    problems = list(_differences(own, view, ""))
    if problems:
        raise WeightsError(
            f"config.json is of another model than {like}: {'; '.join(problems)}",
            "name the model's own with --like",
        )


def _differences(own: Mapping[str, Any], view: Mapping[str, Any], at: str) -> Iterator[str]:
    for key in sorted(own.keys() & view.keys()):
        if isinstance(own[key], Mapping) and isinstance(view[key], Mapping):
            yield from _differences(own[key], view[key], f"{at}{key}.")
        elif _SAME.fullmatch(key) and own[key] != view[key]:
            yield f"{at}{key} is {own[key]!r}, not {view[key]!r}"


def _reverse(
    weights: Checkpoint, known: Mapping[str, Target], layout: Mapping[str, tuple[int, ...]]
) -> Recipe:
    pieces: dict[str, list[tuple[int, Piece]]] = {name: [] for name in layout}
    problems, given = [], set()
    for name, info in weights.tensors.items():
        held = next((spelling for spelling in spellings(name) if spelling in known), None)
        if held is None or held in given:
            problems.append(f"{name!r} is unexpected")
        elif info.shape != known[held].shape:
            problems.append(f"{name!r} is {info.shape}, config.json says {known[held].shape}")
        else:
            given.add(held)
            for span in known[held].spans:
                piece = Piece(name, span.offset, span.offset + span.stop - span.start)
                pieces[known[held].source].append((span.start, piece))
    problems += [f"{name!r} is missing" for name in known if name not in given]
    if problems:
        more = f"; and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise WeightsError(f"{weights.folder.name}: {'; '.join(problems[:8])}{more}", WRONG_BASE)
    return {
        name: [piece for _, piece in sorted(found, key=lambda item: item[0])]
        for name, found in pieces.items()
    }


def _official_headers(
    weights: Checkpoint,
    recipe: Recipe,
    family: ModelFamily,
    config: Mapping[str, Any],
    like: Path,
) -> tuple[list[Header], bool]:
    """The headers to write, and whether they are those of `like`'s own shards, byte for byte."""
    dtypes = {}
    for name, pieces in recipe.items():
        found = {weights.tensors[piece.name].dtype for piece in pieces}
        if len(found) != 1:
            raise WeightsError(
                f"{weights.folder.name}: the parts of {name!r} are {' and '.join(sorted(found))}",
                "save in one dtype",
            )
        dtypes[name] = found.pop()
    if not inside(like, INDEX).is_file() and not inside(like, "model.safetensors").is_file():
        return new_headers(dtypes, family.layout(config)), False
    with Checkpoint.open(like) as opened:
        model, _ = check_layout(opened, family, config)
        if all(info.dtype == dtypes[name] for name, info in model.tensors.items()):
            return [shard.header for shard in model.shards.values()], True
        headers = [
            build_header(
                ((t.name, dtypes[t.name], t.shape) for t in shard.header.tensors),
                shard.name,
                shard.header.metadata,
            )
            for shard in model.shards.values()
        ]
        return headers, False


def new_headers(dtypes: Mapping[str, str], layout: Mapping[str, tuple[int, ...]]) -> list[Header]:
    groups: list[list[tuple[str, str, tuple[int, ...]]]] = [[]]
    held = 0
    for name, shape in layout.items():
        size = build_header([(name, dtypes[name], tuple(shape))], "", {}).tensors[0].size
        if held and held + size > _SHARD:
            groups.append([])
            held = 0
        groups[-1].append((name, dtypes[name], tuple(shape)))
        held += size
    if len(groups) == 1:
        return [build_header(groups[0], "model.safetensors", {"format": "pt"})]
    names = [f"model-{i:05}-of-{len(groups):05}.safetensors" for i in range(1, len(groups) + 1)]
    return [
        build_header(group, name, {"format": "pt"})
        for group, name in zip(groups, names, strict=True)
    ]


def _write(
    out: Path,
    weights: Checkpoint,
    headers: Sequence[Header],
    recipe: Recipe,
    run: Run | None,
    jobs: int,
) -> list[WrittenFile]:
    meter = Meter(sum(len(h.raw) for h in headers) + weights.total_size, run or SilentRun())
    return [
        write_file(
            out,
            h.tensors[0].shard,
            h.raw,
            blocks_of(weights, h.tensors, recipe),
            meter,
            jobs or os.cpu_count() or 1,
        )
        for h in headers
    ]


def indexed(out: Path, headers: Sequence[Header]) -> list[WrittenFile]:
    """The index that several shards, or one of an unusual name, need."""
    tensors = [tensor for header in headers for tensor in header.tensors]
    if {tensor.shard for tensor in tensors} == {"model.safetensors"}:
        return []
    weight_map = {
        tensor.name: tensor.shard for tensor in sorted(tensors, key=lambda tensor: tensor.name)
    }
    write_json(
        out / INDEX,
        {
            "metadata": {"total_size": sum(tensor.size for tensor in tensors)},
            "weight_map": weight_map,
        },
    )
    return [written(out, INDEX)]


class Readable(Protocol):
    """What tensors are taken from: one checkpoint, or several as one."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]: ...

    def shard(self, name: str) -> Shard: ...


Gather = Callable[[Readable, Sequence[Piece]], Callable[[memoryview], None]]


def blocks_of(
    weights: Readable, tensors: Iterable[TensorInfo], recipe: Recipe, gather: Gather | None = None
) -> Iterator[Block]:
    for info in tensors:
        bounds = [0]
        for piece in recipe[info.name]:
            bounds.append(bounds[-1] + piece.stop - piece.start)
        spans = list(zip(pairwise(bounds), recipe[info.name], strict=True))
        for start, stop in split(info):
            meeting = [
                Piece(
                    piece.name,
                    piece.start + max(start - low, 0),
                    piece.start + min(stop, high) - low,
                )
                for (low, high), piece in spans
                if low < stop and start < high
            ]
            yield Block(
                info.start + start * info.row_size,
                (stop - start) * info.row_size,
                (gather or _gather)(weights, meeting),
            )


def _gather(weights: Readable, pieces: Sequence[Piece]) -> Callable[[memoryview], None]:
    def fill(view: memoryview) -> None:
        at = 0
        for piece in pieces:
            info = weights.tensors[piece.name]
            length = (piece.stop - piece.start) * info.row_size
            weights.shard(piece.name).read_into(
                view[at : at + length], info.start + piece.start * info.row_size
            )
            at += length

    return fill
