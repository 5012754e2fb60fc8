"""The gate on NaN and infinity in what a merge reads and writes."""

from __future__ import annotations

import math

from hubkit.sdk.errors import WeightsError


def check_finite(tensor: str, change: float, finite: bool) -> None:
    """Raises WeightsError when the largest `change` of `tensor`, or the tensor as it is written, is
    not `finite`."""
    if not math.isfinite(change):
        raise WeightsError(
            f"the adapter's change to {tensor!r} holds NaN or infinity",
            "train again; this adapter has diverged",
        )
    if not finite:
        raise WeightsError(
            f"tensor {tensor!r} holds NaN or infinity",
            "use an undamaged base, or an adapter that has not diverged",
        )
