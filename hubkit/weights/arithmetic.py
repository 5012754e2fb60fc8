"""The merge itself, on a few rows of one tensor at a time.

Exact rule: the rows are widened to float32, every delta is computed and added in float32, and the
sum is rounded once. XTuner's rule: `W + (B @ A) * scale`, each of the three operations rounded to
the base's own dtype (bfloat16 for InternVL2). B and A are rounded to it first; their product is
summed in float32, as processors with bfloat16 units do (others sum it 50 times slower).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol

from hubkit.sdk.errors import EnvironmentFailure, WeightsError
from hubkit.sdk.install import install

from .adapters.adapter import LoRA
from .placement import Edit, Span

if TYPE_CHECKING:
    import torch

Rounding = Literal["once", "xtuner"]


_SLICE = 2**18
"""Elements worked on at a time, about: the widened rows and their change (1 MiB each) then stay in
a core's cache."""


def require_torch() -> None:
    """
    Raises:
        EnvironmentFailure: torch, which computes with tensors, is not installed.
    """
    if find_spec("torch") is None:
        raise EnvironmentFailure(
            "this needs torch, which is not installed here", install("weights")
        )


class Step(Protocol):
    """One delta, its tensors in memory."""

    def apply(self, rows: torch.Tensor, start: int, scratch: torch.Tensor) -> float:
        """Changes `rows`, rows `start` and following of an official tensor, in place; gives the
        largest |change|.

        `scratch` has the rows' shape and dtype and may be written to.
        """


class Workspace(threading.local):
    """Two tensors a thread, used again for every slice: fresh memory would cost more than the
    arithmetic."""

    def __init__(self) -> None:
        self._held: dict[torch.dtype, tuple[torch.Tensor, torch.Tensor]] = {}

    def get(self, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        size = math.prod(shape)
        pair = self._held.get(dtype)
        if pair is None or pair[0].numel() < size:
            pair = self._held[dtype] = (
                torch.empty(size, dtype=dtype),
                torch.empty(size, dtype=dtype),
            )
        return pair[0][:size].view(shape), pair[1][:size].view(shape)


@dataclass(frozen=True)
class Change:
    """What happened to some rows: the largest |change|, and whether the result is finite."""

    largest: float
    finite: bool


def change_rows(
    rows: torch.Tensor, start: int, steps: Sequence[Step], rounding: Rounding, workspace: Workspace
) -> Change:
    """Applies `steps` to `rows`, rows `start` and following of a tensor, in place."""
    import torch

    wide = computing_dtype(rows.dtype, rounding)
    kind = torch.finfo(rows.dtype)
    limit = kind.max * (2 - kind.eps / 2) / (2 - kind.eps)
    largest, finite = 0.0, True
    count = max(1, _SLICE // max(1, math.prod(rows.shape[1:])))
    for first in range(0, len(rows), count):
        part = rows[first : first + count]
        work, scratch = workspace.get(tuple(part.shape), wide)
        work = part if wide == part.dtype or not steps else work.copy_(part)
        for step in steps:
            largest = max_or_nan(largest, step.apply(work, start + first, scratch))
        finite = finite and largest_of(work) < limit
        if steps and work is not part:
            part.copy_(work)
    return Change(largest, finite)


def computing_dtype(dtype: torch.dtype, rounding: Rounding) -> torch.dtype:
    import torch

    return dtype if rounding == "xtuner" or dtype == torch.float64 else torch.float32


def load(edit: Edit, rounding: Rounding, dtype: torch.dtype) -> Step:
    """Reads what `edit` needs for a tensor of `dtype`.

    Raises:
        WeightsError: XTuner's rule is asked for and says nothing of this kind of delta.
    """
    source, spans, wide = edit.adapter.source, edit.target.spans, computing_dtype(dtype, rounding)
    if not isinstance(edit.delta, LoRA):
        return Replace(spans, source.load(edit.delta.key), edit.weight)
    lora, scale = edit.delta, edit.delta.scale * edit.weight
    if rounding == "xtuner" and (lora.magnitude is not None or edit.bias):
        raise WeightsError(
            f"{lora.module!r}: XTuner merges no DoRA and no LoRA with a bias",
            "merge with the rounding `once`",
        )
    if edit.bias and lora.bias is not None:
        return _Add(spans, source.load(lora.bias).to(wide), scale)
    product = computing_dtype(dtype, "once")
    down, up = (source.load(key).to(wide).to(product) for key in (lora.down, lora.up))
    left, right = (down.T, up.T) if lora.transposed else (up, down)
    if lora.magnitude is not None:
        magnitude = source.load(lora.magnitude).to(wide).flatten()
        return _Dora(spans, left, right, lora.scale, magnitude, edit.weight)
    kind = _RoundedLowRank if rounding == "xtuner" else LowRank
    return kind(spans, left, right.contiguous(), scale)


def pieces(spans: Sequence[Span], start: int, stop: int) -> list[tuple[slice, slice]]:
    """(rows of the block, rows of the delta) for the spans that meet the block `start:stop`."""
    found = []
    for span in spans:
        first, last = max(span.start, start), min(span.stop, stop)
        if first < last:
            shift = span.offset - span.start
            found.append((slice(first - start, last - start), slice(first + shift, last + shift)))
    return found


def largest_of(values: torch.Tensor) -> float:
    """The largest |value|; NaN when there is one."""
    import torch

    if values.dtype in (torch.bfloat16, torch.float16):
        # Without their sign, bits are in the order of their values, and those of NaN above all;
        # amin and amax take four times as long (torch 2.13).
        largest = values.view(torch.int16).bitwise_and(0x7FFF).amax()
        return float(largest.view(values.dtype).item())
    low, high = values.amin().item(), values.amax().item()
    return math.nan if math.isnan(low) else max(-low, high)


@dataclass(frozen=True)
class LowRank:
    spans: Sequence[Span]
    left: torch.Tensor
    right: torch.Tensor
    scale: float

    def apply(self, rows: torch.Tensor, start: int, scratch: torch.Tensor) -> float:
        import torch

        largest = 0.0
        for block, delta in pieces(self.spans, start, start + len(rows)):
            change = torch.mm(self.left[delta], self.right, out=scratch[block])
            largest = max_or_nan(largest, largest_of(change) * abs(self.scale))
            rows[block].add_(change, alpha=self.scale)
        return largest


class _RoundedLowRank(LowRank):
    """The factors are wider than `rows`, and product, multiple and sum are each rounded to its
    dtype."""

    def apply(self, rows: torch.Tensor, start: int, scratch: torch.Tensor) -> float:
        largest = 0.0
        for block, delta in pieces(self.spans, start, start + len(rows)):
            change = scratch[block].copy_(self.left[delta] @ self.right).mul_(self.scale)
            largest = max_or_nan(largest, largest_of(change))
            rows[block].add_(change)
        return largest


@dataclass(frozen=True)
class _Dora:
    """`magnitude * (W + scale * B @ A) / norm`, the norm being that of each row of the sum."""

    spans: Sequence[Span]
    left: torch.Tensor
    right: torch.Tensor
    scale: float
    magnitude: torch.Tensor
    weight: float

    def apply(self, rows: torch.Tensor, start: int, scratch: torch.Tensor) -> float:
        largest = 0.0
        for block, own in pieces(self.spans, start, start + len(rows)):
            total = rows[block] + (self.left[own] @ self.right) * self.scale
            factor = self.magnitude[own] / total.norm(dim=1)
            change = (total * factor[:, None] - rows[block]) * self.weight
            largest = max_or_nan(largest, largest_of(change))
            rows[block].add_(change)
        return largest


@dataclass(frozen=True)
class _Add:
    """`b += scale * tensor`."""

    spans: Sequence[Span]
    tensor: torch.Tensor
    scale: float

    def apply(self, rows: torch.Tensor, start: int, scratch: torch.Tensor) -> float:
        largest = 0.0
        for block, own in pieces(self.spans, start, start + len(rows)):
            change = self.tensor[own] * self.scale
            largest = max_or_nan(largest, largest_of(change))
            rows[block].add_(change)
        return largest


@dataclass(frozen=True)
class Replace:
    spans: Sequence[Span]
    tensor: torch.Tensor
    weight: float

    def apply(self, rows: torch.Tensor, start: int, scratch: torch.Tensor) -> float:
        largest = 0.0
        for block, own in pieces(self.spans, start, start + len(rows)):
            new = self.tensor.view(-1)[own] if not self.tensor.ndim else self.tensor[own]
            change = scratch[block].copy_(new).sub_(rows[block]).mul_(self.weight)
            largest = max_or_nan(largest, largest_of(change))
            if self.weight == 1:
                rows[block].copy_(new)
            else:
                rows[block].add_(change)
        return largest


def max_or_nan(first: float, second: float) -> float:
    return math.nan if math.isnan(first) or math.isnan(second) else max(first, second)
