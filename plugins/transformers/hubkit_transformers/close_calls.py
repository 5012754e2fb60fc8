"""Which answers of a batch hung on a close call.

Beside others a record's logits are not the same bits as alone: products of other sizes are summed
in another order. Where the two likeliest tokens are further apart than that can move them, the
answer is the one that the record gets alone; where they are not, it is asked again alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SHARES = {"float32": 2.0**-10, "float16": 2.0**-7, "bfloat16": 2.0**-5}
"""How far apart the two likeliest tokens' logits must be, as a share of the larger one, by the
model's number type."""


class CloseCalls:
    """A logits processor that changes nothing. `close` has one entry a row, once it was called."""

    def __init__(self, stops: Sequence[int], dtype: str) -> None:
        self._stops, self._share = list(stops), SHARES[dtype]
        self.close: Any = None
        self._ended: Any = None

    def __call__(self, ids: Any, scores: Any) -> Any:
        import torch

        if self.close is None:
            self.close = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
            self._ended = torch.zeros_like(self.close)
        else:
            self._ended |= torch.isin(ids[:, -1], torch.tensor(self._stops, device=ids.device))
        first, second = scores.topk(2, dim=-1).values.float().unbind(-1)
        size = torch.maximum(first.abs(), second.abs()).clamp(min=1)
        self.close |= ~self._ended & (first - second <= self._share * size)
        return scores
