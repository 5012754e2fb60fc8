"""What a frozen ViT makes of the records' pictures is the same in every epoch: it is made once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import torch

from ..forecast import Forecast
from ..options import Options

_SHARE = 0.8  # of free GPU memory, for training and features: the allocator loses a fifth
_ON_CPU = 2**30


class Features:
    """Room for the first records whose features fit in `room` bytes, in one tensor (tiles,
    positions, width) on `device`, "cpu" being pinned memory beside a GPU. `tiles` are all records',
    `shape` is one tile's."""

    def __init__(
        self, tiles: Sequence[int], shape: tuple[int, int], dtype: Any, device: str, room: int
    ) -> None:
        fits = room // (shape[0] * shape[1] * dtype.itemsize)
        ends = [end for end in accumulate(tiles) if end <= fits]
        self._parts = [slice(end - count, end) for end, count in zip(ends, tiles, strict=False)]
        self._made = {number for number in range(len(ends)) if not tiles[number]}
        self._all = torch.empty(
            (ends[-1] if ends else 0, *shape),
            dtype=dtype,
            device=device,
            pin_memory=device == "cpu" and torch.cuda.is_available(),
        )

    @property
    def full(self) -> bool:
        return len(self._made) == len(self._parts)

    def made(self, number: int) -> bool:
        """Whether the record's features are there, so that its pixels are no longer needed."""
        return number in self._made

    def __call__(
        self, pixels: Any, tiles: Sequence[int], numbers: Sequence[int], make: Callable[[Any], Any]
    ) -> Any:
        """Of the records `numbers`, each with its share of `pixels` by `tiles`; `make` makes those
        that are not there."""
        own = dict(zip(numbers, pixels.split(list(tiles)), strict=True))
        missing = {n: part for n, part in own.items() if n not in self._made and len(part)}
        found = {
            n: self._all[self._parts[n]].to(pixels.device, non_blocking=True)
            for n in own
            if n in self._made
        }
        if missing:
            new = make(torch.cat(list(missing.values())))
            found |= zip(missing, new.split([len(part) for part in missing.values()]), strict=True)
        for n in missing:
            if n < len(self._parts):
                self._all[self._parts[n]].copy_(found[n], non_blocking=True)
                self._made.add(n)
        return torch.cat([found[n] for n in numbers if n in found])


def settle(
    shape: tuple[int, int] | None,
    dtype: Any,
    options: Options,
    forecast: Forecast,
    tiles: Sequence[int],
    device: str,
    free: int,
) -> tuple[Features | None, str]:
    """Where features are kept, if the ViT is frozen, which gives them a shape, and records are seen
    again; and what to say about it. `tiles` are those of the records that are trained on, `free`
    the GPU's memory before anything was there."""
    need = sum(tiles) * shape[0] * shape[1] * dtype.itemsize if shape else 0
    again = forecast.samples > len(tiles)
    if not (options.cache_vision and shape and need and again):
        return None, ""
    spare = int(_SHARE * free) - forecast.memory if device == "cuda" else _ON_CPU
    room = need if options.cache_vision == "auto" else min(need, int(options.cache_vision * 2**30))
    if room > spare and options.cache_vision == "auto":
        return None, (
            f", the frozen ViT again in each epoch (its features take {need / 2**30:.3g} GiB and "
            f"{max(0, spare) / 2**30:.3g} are to spare; cache_vision: {need / 2**30:.3g} would "
            "keep them in the host's memory)"
        )
    where = device if room <= spare else "cpu"
    kept = Features(tiles, shape, dtype, where, room)
    return kept, (
        f", features of the frozen ViT kept on the {where} ({room / 2**30:.3g} of "
        f"{need / 2**30:.3g} GiB)"
    )
