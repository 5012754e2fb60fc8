"""The deltas of experts, whose factors an adapter keeps in one tensor for all experts of a
layer."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from hubkit.sdk.errors import WeightsError

from .adapters.adapter import LoRA
from .arithmetic import (
    LowRank,
    Replace,
    Rounding,
    Step,
    computing_dtype,
    largest_of,
    load,
    max_or_nan,
    pieces,
)
from .placement import Edit, Slice

if TYPE_CHECKING:
    import torch

_KEPT = 6
"""Tensors of an adapter: A and B of both of a layer's matrices, and some more where shards part a
layer."""


class Loader:
    """Reads what edits need. The tensors of a layer's experts lie beside one another, so the last
    of the adapter's tensors that they were taken from are kept."""

    def __init__(self, rounding: Rounding) -> None:
        self._rounding: Rounding = rounding
        self._kept: OrderedDict[tuple[int, str], torch.Tensor] = OrderedDict()

    def step(self, edit: Edit, dtype: torch.dtype) -> Step:
        """What `edit` does to a tensor of `dtype`.

        Raises:
            WeightsError: XTuner's rule is asked for and says nothing of this kind of delta.
        """
        if edit.part is None:
            return load(edit, self._rounding, dtype)
        if self._rounding == "xtuner":
            raise WeightsError(
                f"{edit.target.source!r}: XTuner merges no adapter of experts",
                "merge with the rounding `once`",
            )
        if not isinstance(edit.delta, LoRA):
            whole = self._tensor(edit, edit.delta.key, lambda tensor: tensor)
            return Replace(edit.target.spans, _of(edit.part, whole), edit.weight)
        left, right = self._factors(edit, edit.delta, edit.part, computing_dtype(dtype, "once"))
        kind = LowRank if edit.part.expert is not None else _Stacked
        return kind(edit.target.spans, left, right, edit.delta.scale * edit.weight)

    def _factors(
        self, edit: Edit, lora: LoRA, part: Slice, wide: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(out, rank) and (rank, in) of one expert; or of all, with the experts before them, and
        turned where the tensor is."""
        count = part.count
        down = self._tensor(edit, lora.down, lambda a: a.to(wide).view(count, lora.rank, -1))
        up = self._tensor(
            edit,
            lora.up,
            lambda b: b.to(wide).view(len(b), lora.rank, count).permute(2, 0, 1).contiguous(),
        )
        left, right = (down.mT, up.mT) if part.swapped else (up, down)
        if part.turned:
            left, right = right.mT, left.mT
        return (left, right) if part.expert is None else (left[part.expert], right[part.expert])

    def _tensor(
        self, edit: Edit, key: str, arranged: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        name = id(edit.adapter), key
        if name not in self._kept:
            self._kept[name] = arranged(edit.adapter.source.load(key))
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(name)
        return self._kept[name]


def _of(part: Slice, whole: torch.Tensor) -> torch.Tensor:
    if part.expert is None:
        return whole.mT if part.turned else whole
    return whole[part.expert]


class _Stacked(LowRank):
    """A product for each expert; spans count experts."""

    def apply(self, rows: torch.Tensor, start: int, scratch: torch.Tensor) -> float:
        import torch

        largest = 0.0
        for block, delta in pieces(self.spans, start, start + len(rows)):
            change = torch.bmm(self.left[delta], self.right[delta], out=scratch[block])
            largest = max_or_nan(largest, largest_of(change) * abs(self.scale))
            rows[block].add_(change, alpha=self.scale)
        return largest
