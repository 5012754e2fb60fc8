"""The seal of a stage: from which inputs it was made, and what it gave. `seal.json` in its
folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..digests import of_json
from ..errors import UsageError
from ..sdk import codec, json_text

SEAL = "seal.json"


@dataclass(frozen=True)
class Seal:
    """`inputs` are what the stage depended on, by name; `outputs` maps each file to its sha256,
    `stamps` to its size, mtime and inode when sealed; `result` is the stage's typed result as JSON;
    `seconds` is how long it took."""

    stage: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    stamps: Mapping[str, str]
    result: Mapping[str, Any]
    seconds: float

    @property
    def digest(self) -> str:
        """Identifies what the stage gave, not how: equal outputs and results have equal digests."""
        return of_json([self.stage, dict(self.outputs), dict(self.result)])


def read_seal(folder: Path) -> Seal | None:
    """The seal in a stage's folder; None when there is none, or it is damaged."""
    path = folder / SEAL
    try:
        seal = codec.decode(Seal, json_text.load(path), str(path))
    except (OSError, ValueError, UsageError):
        return None
    return seal if seal.stage == folder.name and seal.stamps.keys() == seal.outputs.keys() else None
