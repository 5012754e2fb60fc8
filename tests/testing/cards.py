"""Parts of cards for tests."""

from __future__ import annotations

from pathlib import Path

from hubkit.evaluation.results import SampleTurn
from hubkit.packaging.card import Sample

Turn = tuple[str, str, str | None, str, bool | None, bool | None]
"""Question, reference, the base's answer, the model's, whether each is right."""


def sample(pictures: tuple[Path, ...], *turns: Turn) -> Sample:
    return Sample(pictures, tuple(SampleTurn(*turn) for turn in turns))
