"""The gate on NaN and infinity: a training whose loss or weights are none is over."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .errors import EnvironmentFailure

DIVERGED = "lower learning_rate; nothing usable was trained"


def check_loss(loss: float) -> None:
    """Raises EnvironmentFailure when the loss of a step is not a number any more."""
    if not math.isfinite(loss):
        raise EnvironmentFailure(f"the loss is {loss}", DIVERGED)


def check_trained(broken: Sequence[str], count: int) -> None:
    """Raises EnvironmentFailure when any of `count` trained tensors holds numbers that are not
    finite: `broken` names those that do."""
    if broken:
        message = (
            f"{len(broken)} of {count} tensors hold numbers that are not finite, {broken[0]} first"
        )
        raise EnvironmentFailure(message, DIVERGED)
