"""hubkit brings the model, the records and the pictures; these options keep the training short,
with a state to resume from."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.testing import TrainerCase

_SIZE = {"rank": 2, "alpha": 4.0, "batch_size": 2, "accumulation": 1, "iterations": 6}


def case(folder: Path) -> TrainerCase:
    return TrainerCase(
        {
            **_SIZE,
            "warmup_ratio": 0.4,
            "save_every": 2,
            "log_every": 1,
            "workers": 0,
            "device": "cpu",
        }
    )
