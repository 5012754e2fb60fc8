"""Conversations about printed digits, and a short training on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hubkit.sdk import Record, TrainInput, Turn

READ, PARITY = "<image>\nWhich digit is this?", "Is it even or odd?"


@pytest.fixture
def records() -> list[Record]:
    """One and two turns, one and three tiles, and one without a picture."""
    return [
        *(
            Record(
                f"d{d}",
                (f"{d}.png",),
                (Turn(READ, str(d)), Turn(PARITY, "odd" if d % 2 else "even")),
            )
            for d in range(4)
        ),
        *(Record(f"d{d}", (f"{d}.png",), (Turn(READ, str(d)),)) for d in range(4, 10)),
        Record("wide", ("wide.png",), (Turn(READ, "8"),)),
        Record("text", (), (Turn("Spell it.", "four"),)),
    ]


@pytest.fixture
def job(train_input: Callable[..., TrainInput], records: list[Record]) -> Callable[..., TrainInput]:
    def build(chosen: list[Record] | None = None, name: str = "run", **options: Any) -> TrainInput:
        settings = {
            "steps": 5,
            "batch_size": 4,
            "rank": 4,
            "learning_rate": 1e-3,
            "checkpoint_every": 2,
            "threads": 1,
            **options,
        }
        return train_input(records if chosen is None else chosen, name, settings)

    return build
