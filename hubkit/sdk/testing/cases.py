"""What a plugin brings to its conformance check: `case(folder)` in the module `conformance` of its
package.

    # hubkit_csv_pairs/conformance.py
    from pathlib import Path
    from hubkit.sdk.testing import DatasetCase

    def case(folder: Path) -> DatasetCase:
        source = folder / "pairs.csv"
        source.write_text("image,question,answer\\n1.png,Which digit?,3\\n")
        return DatasetCase(source, 1)

`folder` is empty and the plugin's own. hubkit brings the rest: a tiny model, records and pictures,
a release folder, and a local hub for those that ask for it. A package with several plugins returns
a mapping from their names to their cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class DatasetCase:
    """`source` gives `count` records; each file of `bad` must be refused with an error that holds
    the given text."""

    source: Path
    count: int
    options: Mapping[str, Any] = field(default_factory=dict)
    bad: Mapping[Path, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parts:
    """What a family can `assemble`: config.json of a language model and of a vision tower, and the
    id of the image token."""

    llm: Mapping[str, Any]
    vision: Mapping[str, Any]
    image_token: int


@dataclass(frozen=True)
class FamilyCase:
    """`config` is of a model of the family, `folder` an official folder of it; `accepted` and
    `refused` are names of repositories. `parts` are for a family that can be assembled."""

    config: Mapping[str, Any]
    accepted: str
    refused: str
    folder: Path | None = None
    preprocessor: Mapping[str, Any] | None = None
    tokens: Mapping[str, int] | None = None
    parts: Parts | None = None


@dataclass(frozen=True)
class TrainerCase:
    """`options` that make a training of the tiny model short."""

    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineCase:
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExporterCase:
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HubCase:
    """`target` is what follows `scheme:`, an empty repository that may be written to; `bad_target`
    is none at all.

    With `rehearsal`, hubkit's own hub runs on this machine while the case does. It speaks the
    protocols of Hugging Face, ModelScope, git and Git LFS; `{url}` in `target` and in `options`
    stands for its address, and the environment variable HUBKIT_REHEARSAL_TOKEN has a token that may
    write."""

    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    bad_target: str = ""
    rehearsal: bool = False


@dataclass(frozen=True)
class MetricCase:
    """`scores` are (answer, references, expected score); none of `bad`, which are references, can
    be judged against."""

    scores: Sequence[tuple[str, Sequence[str], float]]
    bad: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Undriven:
    """In place of a case: why the plugin cannot be driven here with what hubkit brings. The check
    shows it."""

    reason: str


Case = (
    DatasetCase
    | FamilyCase
    | TrainerCase
    | EngineCase
    | ExporterCase
    | HubCase
    | MetricCase
    | Undriven
)
REHEARSAL_TOKEN = "HUBKIT_REHEARSAL_TOKEN"
CASES: Mapping[str, type] = {
    "dataset": DatasetCase,
    "family": FamilyCase,
    "trainer": TrainerCase,
    "engine": EngineCase,
    "exporter": ExporterCase,
    "hub": HubCase,
    "metric": MetricCase,
}
