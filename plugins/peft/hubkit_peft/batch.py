"""Samples of one batch in one row of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from hubkit.sdk.processing import batched

from .examples import IGNORED, Example
from .processed import ProcessedExample, cast

_WASTE = 1.08
"""Equal lengths allow cuDNN's attention, which on an H200 saves 8 % of a layer's time: padding may
cost as much."""

_READ = ("image_grid_thw", "image_sizes")
"""Numbers of patches and sizes of pictures: models read them, which on a GPU is a wait each."""

Rows = TypeVar("Rows", bound="Row")


@dataclass(frozen=True)
class Row:
    """`keys` (of dropout) are (tokens,); `rows` are those that predict an answer's token and
    `targets` what; `spans` are the samples' places."""

    keys: Any
    rows: Any
    targets: Any
    spans: Any

    def to(self: Rows, device: str) -> Rows:
        return _each(self, lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self: Rows) -> Rows:
        return _each(self, lambda tensor: tensor.pin_memory())


@dataclass(frozen=True)
class Packed(Row):
    """`ids` and `positions` (restarting with each sample) are (tokens,); `places` are the rows of
    picture positions, in the order of `pixels`, uint8 (tiles, 3, side, side), of which each record,
    by its number, has `tiles`."""

    ids: Any
    positions: Any
    places: Any
    pixels: Any
    tiles: tuple[int, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Arranged(Row):
    """`inputs` are the model's arguments for the samples, padded to the longest, of whose tokens
    the row's are those at `take`, (tokens,); `positions` are (tokens,), or (3, tokens) where they
    have sections. Each record, by its number, has `pictures`, and as many `patches` of them as are
    there: none where they are no longer needed."""

    inputs: dict[str, Any]
    take: Any
    positions: Any
    numbers: tuple[int, ...]
    pictures: tuple[int, ...]
    patches: tuple[int, ...]


def _each(row: Rows, change: Callable[[Any], Any]) -> Rows:
    return replace(row, **{name: _changed(value, change) for name, value in vars(row).items()})


def _changed(value: Any, change: Callable[[Any], Any]) -> Any:
    if hasattr(value, "bounds"):
        return replace(value, bounds=change(value.bounds))
    if isinstance(value, dict):
        return {n: tensor if n in _READ else change(tensor) for n, tensor in value.items()}
    return change(value) if hasattr(value, "to") else value


def pack(
    examples: Sequence[Example], samples: Sequence[int], seed: int, context: int, packing: str
) -> Packed:
    """`context` is the id at picture positions; `samples` are the examples' numbers in the whole
    training, which with `seed` give the dropout masks."""
    import numpy
    import torch

    row, starts = _row(examples, samples, seed, packing)
    ids = torch.zeros(len(row.keys), dtype=torch.int64)
    places = []
    for example, start in zip(examples, starts, strict=True):
        own = torch.tensor(example.ids)
        ids[start : start + len(own)] = own
        places.append(start + (own == context).nonzero()[:, 0])
    return Packed(
        **vars(row),
        ids=ids,
        positions=torch.cat([torch.arange(span) for span in row.spans.lengths]),
        places=torch.cat(places),
        pixels=torch.from_numpy(numpy.concatenate([example.pixels for example in examples])),
        tiles=tuple(len(example.pixels) for example in examples),
        numbers=tuple(example.number for example in examples),
    )


def arrange(
    examples: Sequence[ProcessedExample],
    samples: Sequence[int],
    seed: int,
    pad: int,
    packing: str,
    dtype: Any,
    sections: Callable[..., Any] | None,
) -> Arranged:
    """Like `pack`. Pictures are given in `dtype`, to which the model would turn them; `sections`
    are a model's `get_rope_index`, where its positions have any."""
    import torch

    row, starts = _row(examples, samples, seed, packing)
    inputs = batched([cast(example.inputs, dtype) for example in examples], pad, "right")
    count, width = inputs["input_ids"].shape
    positions = torch.arange(width).expand(count, width)
    if sections is not None:
        sees = any(name.endswith("grid_thw") for name in inputs)
        positions = sections(**inputs)[0] if sees else positions.expand(3, count, width)
    del inputs["attention_mask"]
    take = torch.zeros(len(row.keys), dtype=torch.int64)
    for number, (example, start) in enumerate(zip(examples, starts, strict=True)):
        length = len(example.labels)
        take[start : start + length] = number * width + torch.arange(length)
    seen = [example.inputs.pictures for example in examples]
    return Arranged(
        **vars(row),
        inputs=inputs,
        take=take,
        positions=positions.flatten(-2)[..., take],
        numbers=tuple(example.number for example in examples),
        pictures=tuple(len(one.get("image_grid_thw", ())) for one in seen),
        patches=tuple(len(one.get("pixel_values", ())) for one in seen),
    )


def _row(
    examples: Sequence[Any], samples: Sequence[int], seed: int, packing: str
) -> tuple[Row, list[int]]:
    """And where each sample begins."""
    import torch

    from .fast.attention import Spans
    from .fast.dropout import token_keys

    spans = _spans([len(example.labels) for example in examples], packing)
    bounds = torch.tensor([0, *spans]).cumsum(0)
    starts: list[int] = bounds[:-1].tolist()
    keys = torch.zeros(bounds[-1], dtype=torch.int32)
    rows, targets = [], []
    for example, sample, start in zip(examples, samples, starts, strict=True):
        labels = torch.tensor(example.labels)
        keys[start : start + len(labels)] = token_keys(seed, sample, len(labels))
        learnt = (labels[1:] != IGNORED).nonzero()[:, 0]
        rows.append(start + learnt)
        targets.append(labels[1:][learnt])
    row = Row(keys, torch.cat(rows), torch.cat(targets), Spans(tuple(spans), bounds.int()))
    return row, starts


def _spans(lengths: Sequence[int], packing: str) -> list[int]:
    """The samples' places in the row: all of the longest's length where that is cheaper; in
    multiples of 8 tokens, which the matrix units need."""
    even = [-(-max(lengths) // 8) * 8] * len(lengths)
    if packing == "never" or (packing == "auto" and sum(even) <= _WASTE * sum(lengths)):
        return even
    return [*lengths[:-1], lengths[-1] + -sum(lengths) % 8]
