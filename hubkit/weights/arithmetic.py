"""The merge itself, on a few rows of one tensor at a time.

Exact rule: the rows are widened to float32, every delta is computed and added in float32, and the sum is rounded once.
XTuner's rule: `W + (B @ A) * scale`, each of the three operations rounded to the base's own dtype (bfloat16 for InternVL2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from .adapter import LoRA
from .placement import Edit, Span

if TYPE_CHECKING:
    import torch

Parity = Literal["none", "xtuner"]


class Step(Protocol):
    """One delta, its tensors in memory."""

    def apply(self, rows: torch.Tensor, start: int) -> float:
        """Changes `rows`, rows `start` and following of an official tensor, in place; gives the largest |change|."""


def load(edit: Edit, parity: Parity, dtype: torch.dtype) -> Step:
    """Reads what `edit` needs; `dtype` is what rows will be handed to apply() in."""
    source, spans = edit.adapter.source, edit.target.spans
    if not isinstance(edit.delta, LoRA):
        return _Replace(spans, source.load(edit.delta.key), edit.weight)
    lora = edit.delta
    down, up = source.load(lora.down).to(dtype), source.load(lora.up).to(dtype)
    left, right = (down.T, up.T) if lora.transposed else (up, down)
    return _LowRank(spans, left, right.contiguous(), lora.scale * edit.weight, parity)


def _pieces(spans: Sequence[Span], start: int, stop: int) -> list[tuple[slice, slice]]:
    """(rows of the block, rows of the delta) for the spans that meet the block `start:stop`."""
    found = []
    for span in spans:
        first, last = max(span.start, start), min(span.stop, stop)
        if first < last:
            shift = span.offset - span.start
            found.append((slice(first - start, last - start), slice(first + shift, last + shift)))
    return found


def _largest(values: torch.Tensor) -> float:
    """The largest |value|; NaN when there is one."""
    low, high = values.aminmax()
    return math.nan if math.isnan(low.item()) else max(-low.item(), high.item())


@dataclass(frozen=True)
class _LowRank:
    spans: Sequence[Span]
    left: torch.Tensor
    right: torch.Tensor
    scale: float
    parity: Parity

    def apply(self, rows: torch.Tensor, start: int) -> float:
        largest = 0.0
        for block, delta in _pieces(self.spans, start, start + len(rows)):
            change = self.left[delta] @ self.right
            largest = max_or_nan(largest, _largest(change) * abs(self.scale))
            if self.parity == "xtuner":
                rows[block] += change * self.scale
            else:
                rows[block].add_(change, alpha=self.scale)
        return largest


@dataclass(frozen=True)
class _Replace:
    spans: Sequence[Span]
    tensor: torch.Tensor
    weight: float

    def apply(self, rows: torch.Tensor, start: int) -> float:
        largest = 0.0
        for block, own in _pieces(self.spans, start, start + len(rows)):
            new = self.tensor[own].to(rows.dtype) if self.tensor.ndim else self.tensor.to(rows.dtype).view(1)
            change = (new - rows[block]) * self.weight
            largest = max_or_nan(largest, _largest(change))
            if self.weight == 1:
                rows[block] = new
            else:
                rows[block] += change
        return largest


def max_or_nan(first: float, second: float) -> float:
    return math.nan if math.isnan(first) or math.isnan(second) else max(first, second)
