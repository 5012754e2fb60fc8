"""Samples of one batch in one row of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from .examples import IGNORED, Example

_WASTE = 1.08
"""Equal lengths allow cuDNN's attention, which on an H200 saves 8 % of a layer's time: padding may
cost as much."""


@dataclass(frozen=True)
class Packed:
    """`ids`, `positions` (restarting with each sample) and `keys` (of dropout) are (tokens,);
    `rows` are those that predict an answer's token and `targets` what; `places` are the rows of
    picture positions, in the order of `pixels`, uint8 (tiles, 3, side, side), of which each record,
    by its number, has `tiles`."""

    ids: Any
    positions: Any
    keys: Any
    rows: Any
    targets: Any
    places: Any
    pixels: Any
    spans: Any
    tiles: tuple[int, ...]
    numbers: tuple[int, ...]

    def to(self, device: str) -> Packed:
        moved = {field.name: _to(getattr(self, field.name), device) for field in fields(self)}
        return Packed(**moved)

    def pinned(self) -> Packed:
        tensors = {
            name: value.pin_memory()
            for name, value in vars(self).items()
            if hasattr(value, "pin_memory")
        }
        return replace(self, **tensors)


def _to(value: Any, device: str) -> Any:
    if hasattr(value, "bounds"):
        return replace(value, bounds=value.bounds.to(device, non_blocking=True))
    return value.to(device, non_blocking=True) if hasattr(value, "to") else value


def pack(
    examples: Sequence[Example], samples: Sequence[int], seed: int, context: int, packing: str
) -> Packed:
    """`context` is the id at picture positions; `samples` are the examples' numbers in the whole
    training, which with `seed` give the dropout masks."""
    import numpy
    import torch

    from .fast.attention import Spans
    from .fast.dropout import token_keys

    lengths = [len(example.ids) for example in examples]
    spans = _spans(lengths, packing)
    starts = torch.tensor([0, *spans]).cumsum(0)
    ids, keys = (
        torch.zeros(starts[-1], dtype=torch.int64),
        torch.zeros(starts[-1], dtype=torch.int32),
    )
    rows, targets, places = [], [], []
    for example, sample, start, length in zip(
        examples, samples, starts.tolist(), lengths, strict=False
    ):
        own, labels = torch.tensor(example.ids), torch.tensor(example.labels)
        ids[start : start + length] = own
        keys[start : start + length] = token_keys(seed, sample, length)
        learnt = (labels[1:] != IGNORED).nonzero()[:, 0]
        rows.append(start + learnt)
        targets.append(labels[1:][learnt])
        places.append(start + (own == context).nonzero()[:, 0])
    return Packed(
        ids=ids,
        positions=torch.cat([torch.arange(span) for span in spans]),
        keys=keys,
        rows=torch.cat(rows),
        targets=torch.cat(targets),
        places=torch.cat(places),
        pixels=torch.from_numpy(numpy.concatenate([example.pixels for example in examples])),
        spans=Spans(tuple(spans), starts.to(torch.int32)),
        tiles=tuple(len(example.pixels) for example in examples),
        numbers=tuple(example.number for example in examples),
    )


def _spans(lengths: Sequence[int], packing: str) -> list[int]:
    """The samples' places in the row: all of the longest's length where that is cheaper; in
    multiples of 8 tokens, which the matrix units need."""
    even = [-(-max(lengths) // 8) * 8] * len(lengths)
    if packing == "never" or (packing == "auto" and sum(even) <= _WASTE * sum(lengths)):
        return even
    return [*lengths[:-1], lengths[-1] + -sum(lengths) % 8]
