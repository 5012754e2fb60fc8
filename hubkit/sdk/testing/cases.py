"""What a plugin brings to its conformance check: `case(folder)` in the module `conformance` of its package.

    # hubkit_csv_pairs/conformance.py
    from pathlib import Path
    from hubkit.sdk.testing import DatasetCase

    def case(folder: Path) -> DatasetCase:
        source = folder / "pairs.csv"
        source.write_text("image,question,answer\\n1.png,Which digit?,3\\n")
        return DatasetCase(source, 1)

`folder` is empty and the plugin's own. hubkit brings the rest: a tiny model, records and pictures, a release folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class DatasetCase:
    """`source` gives `count` records; each file of `bad` must be refused with an error that holds the given text."""

    source: Path
    count: int
    options: Mapping[str, Any] = field(default_factory=dict)
    bad: Mapping[Path, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FamilyCase:
    """`config` is of a model of the family, `folder` an official folder of it; `accepted` and `refused` are names of
    repositories."""

    config: Mapping[str, Any]
    accepted: str
    refused: str
    folder: Path | None = None
    preprocessor: Mapping[str, Any] | None = None
    tokens: Mapping[str, int] | None = None


@dataclass(frozen=True)
class TrainerCase:
    """`options` that make a training of the tiny model short."""

    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineCase:
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HubCase:
    """`target` is what follows `scheme:`, an empty repository that may be written to; `bad_target` is none at all."""

    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    bad_target: str = ""


@dataclass(frozen=True)
class MetricCase:
    """`scores` are (answer, references, expected score)."""

    scores: Sequence[tuple[str, Sequence[str], float]]


Case = DatasetCase | FamilyCase | TrainerCase | EngineCase | HubCase | MetricCase
CASES: Mapping[str, type] = {
    "dataset": DatasetCase,
    "family": FamilyCase,
    "trainer": TrainerCase,
    "engine": EngineCase,
    "hub": HubCase,
    "metric": MetricCase,
}
