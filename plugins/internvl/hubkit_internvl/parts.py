"""How one official tensor relates to native ones: whole, or cut along dimension 0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hubkit.sdk import TensorMap

Rows = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Part:
    """One official tensor, its shape, and the native tensors that its rows make up."""

    source: str
    shape: tuple[int, ...]
    native: tuple[tuple[str, Rows], ...]

    def maps(self) -> Iterator[TensorMap]:
        return (TensorMap(name, self.source, rows) for name, rows in self.native)


def whole(source: str, name: str, *shape: int) -> Part:
    return Part(source, shape, ((name, ()),))


def stacked(source: str, names: Sequence[str], heights: Sequence[int], *rest: int) -> Part:
    """`names` one above the other, each of its height."""
    native, start = [], 0
    for name, height in zip(names, heights, strict=True):
        native.append((name, ((start, start + height),)))
        start += height
    return Part(source, (start, *rest), tuple(native))


def interleaved(
    source: str,
    names: tuple[str, str, str],
    kv_heads: int,
    per_group: int,
    head_dim: int,
    *rest: int,
) -> Part:
    """InternLM2's wqkv: for each key/value head the `per_group` query heads that share it, then its
    key, then its value."""
    height = (per_group + 2) * head_dim
    starts = range(0, kv_heads * height, height)
    cuts = ((0, per_group), (per_group, per_group + 1), (per_group + 1, per_group + 2))
    native = tuple(
        (name, tuple((start + first * head_dim, start + last * head_dim) for start in starts))
        for name, (first, last) in zip(names, cuts, strict=True)
    )
    return Part(source, (kv_heads * height, *rest), native)
