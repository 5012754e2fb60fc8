"""Rows of embeddings: in which two tensors differ, and the base's in the dtype of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator

from hubkit.sdk import UsageError, WeightsError
from hubkit.sdk.checkpoints import Weights
from hubkit.sdk.install import install

from . import names


def differing(one: Weights, first: str, other: Weights, second: str, below: int) -> Iterator[int]:
    """Numbers of the rows in which tensor `first` of `one` and `second` of `other` differ, as far
    as both have them."""
    width, end = other[second].row_size, min(below, one[first].rows, other[second].rows)
    if (one[first].dtype, one[first].row_size) != (other[second].dtype, width):
        yield from range(end)
        return
    step = max(1, (1 << 22) // max(1, width))
    for start in range(0, end, step):
        span = (start, min(start + step, end))
        yield from _unequal(one.read(first, span), other.read(second, span), width, start)


def against_base(language: Weights, found: Weights, name: str) -> list[list[int]]:
    """Half-open ranges of the rows that are not the base's."""
    info, source = found[name], names.in_base(name)
    if source not in language:
        raise WeightsError(
            f"the base language model has no tensor {source!r}",
            "name the folder of the Vicuna trained from",
        )
    old = language[source]
    if old.shape[1:] != info.shape[1:] or old.rows > info.rows:
        raise WeightsError(
            f"{name} is {info.shape}, the base's {source} is {old.shape}",
            "name the base that was trained from",
        )
    ranges: list[list[int]] = []
    step = max(1, (1 << 24) // max(1, info.row_size))
    for first in range(0, old.rows, step):
        span = (first, min(first + step, old.rows))
        mine, theirs = (
            found.read(name, span),
            as_stored(language.read(source, span), old.dtype, info.dtype),
        )
        for row in _unequal(mine, theirs, info.row_size, first):
            _extend(ranges, row, row + 1)
    if info.rows > old.rows:
        _extend(ranges, old.rows, info.rows)
    return ranges


def as_stored(data: bytes, dtype: str, wanted: str) -> bytes:
    """The numbers in `data` as the checkpoint's dtype has them: rounded to nearest, as torch casts
    a model."""
    if dtype == wanted:
        return data
    try:
        import torch
    except ModuleNotFoundError:
        message = (
            f"the base is {dtype} and the checkpoint {wanted}: converting takes torch, which is "
            "not installed"
        )
        raise UsageError(message, install("weights")) from None
    kinds = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}
    if not {dtype, wanted} <= set(kinds):
        raise WeightsError(
            f"embeddings are {dtype} in the base and {wanted} in the checkpoint",
            "use unquantised weights",
        )
    numbers = torch.frombuffer(bytearray(data), dtype=kinds[dtype]).to(kinds[wanted])
    return bytes(numbers.view(torch.uint8).numpy().tobytes())


def _extend(ranges: list[list[int]], first: int, last: int) -> None:
    if ranges and ranges[-1][1] == first:
        ranges[-1][1] = last
    else:
        ranges.append([first, last])


def _unequal(mine: bytes, theirs: bytes, width: int, first: int) -> Iterator[int]:
    """Numbers, counted from `first`, of the rows of `width` bytes that are not the same."""
    if mine != theirs:
        for row in range(len(mine) // width):
            if mine[row * width : (row + 1) * width] != theirs[row * width : (row + 1) * width]:
                yield first + row
