"""provenance.json: what went into a release, by digest, so that anybody can tell what it was made
from and make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = "provenance.json"


@dataclass(frozen=True)
class Provenance:
    """All digests are sha256. `base` and `adapter` map the names of weights, companions and
    settings to digests; `data` is the digest of the split records and of every image; `settings` is
    what release.yaml says of how the release is made, without paths; `prompts` has the exact text
    and token ids of one sample, as it was trained with and as each engine asked. Nothing in it
    differs between two runs of one release."""

    name: str
    tag: str
    created: str
    base_name: str
    base: Mapping[str, str]
    data_name: str
    data: Mapping[str, str]
    adapter: Mapping[str, str]
    weights: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    settings: Mapping[str, Any]
    tools: Mapping[str, str]
    prompts: Mapping[str, Any] = field(default_factory=dict)


def write(folder: Path, provenance: Provenance) -> None:
    content = {"schema": 1, "note": "made by hubkit; digests are sha256", **provenance.__dict__}
    (folder / NAME).write_text(
        json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", "utf-8"
    )
