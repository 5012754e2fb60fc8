"""hubkit brings the model, the records and the pictures; these options keep the training short,
with a state to resume from."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.testing import TrainerCase


def case(folder: Path) -> TrainerCase:
    return TrainerCase(
        {
            "steps": 3,
            "batch_size": 2,
            "rank": 2,
            "checkpoint_every": 1,
            "threads": 1,
            "device": "cpu",
        }
    )
