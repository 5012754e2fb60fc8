"""Cross-entropy at the tokens of answers: logits are computed there and nowhere else."""

from __future__ import annotations

from typing import Any

import torch

_ROWS_AT_ONCE = 2048


class Head:
    """A frozen output layer without bias. Its weight gets rows of 0 up to a multiple of 8, which
    matrix units need (InternVL2-2B has 92,553), and `linear` becomes a view of the others."""

    def __init__(self, linear: Any) -> None:
        self._weight, self._columns = linear.weight.data, len(linear.weight)
        if more := -self._columns % 8:
            rest = self._weight.new_zeros((more, self._weight.shape[1]))
            self._weight = torch.cat([self._weight, rest])
            linear.weight.data = self._weight[: self._columns]

    def __call__(self, hidden: Any) -> Any:
        return torch.nn.functional.linear(hidden, self._weight)[:, : self._columns]


def answer_loss(hidden: Any, head: Any, targets: Any) -> Any:
    """Sum over rows. `hidden` (rows, width), `targets` int64 (rows,). Above 2,048 rows the logits
    are made piece by piece and again in the backward pass: at a vocabulary of 92,553 each thousand
    rows would keep 0.4 GB."""
    from torch.utils.checkpoint import checkpoint

    if len(hidden) <= _ROWS_AT_ONCE:
        return _loss(hidden, head, targets)
    pieces = zip(hidden.split(_ROWS_AT_ONCE), targets.split(_ROWS_AT_ONCE), strict=True)
    return torch.stack(
        [checkpoint(_loss, piece, head, wanted, use_reentrant=False) for piece, wanted in pieces]
    ).sum()


def _loss(hidden: Any, head: Any, targets: Any) -> Any:
    return torch.nn.functional.cross_entropy(head(hidden).float(), targets, reduction="sum")
