"""The pages of the documentation, and the blocks in them.

A block of commands is run by a test unless it has a title that says what it needs; its options are
checked in either case. A block titled release.yaml is a release file or a part of one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BASE = """
name: InternVL2-2B-Food
base: {path: models/InternVL2-2B, name: OpenGVLab/InternVL2-2B}
data: {path: data/train.json, images: data/images, license: cc-by-4.0, holdout: 0.25}
train: {options: {rank: 4, alpha: 8, steps: 3, batch_size: 4}}
author: {name: Ada Lovelace, email: ada@example.org}
publish: [{to: "git:./hub/InternVL2-2B-Food.git"}]
"""


@dataclass(frozen=True)
class Block:
    language: str
    title: str
    text: str

    def commands(self) -> list[str]:
        """Its lines of shell, joined where they are continued."""
        if self.language not in ("bash", "console"):
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line.removeprefix("$ ").strip() for line in lines]


def pages(language: str) -> list[Path]:
    if language == "zh":
        return sorted((DOCS / "zh").rglob("*.md"))
    return sorted(path for path in DOCS.rglob("*.md") if "zh" not in path.relative_to(DOCS).parts)


def blocks(page: Path) -> list[Block]:
    found = re.findall(
        r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$', page.read_text("utf-8"), re.M | re.S
    )
    return [Block(*one) for one in found]


def released(text: str) -> str:
    """A whole release file of a part of one: what it leaves out is that of the quick start."""
    given = yaml.safe_load(text)
    whole = given if "name" in given else _over(yaml.safe_load(BASE), given)
    return yaml.safe_dump(whole, allow_unicode=True)


def _over(below: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in given.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _over(below[key], value) if both and key != "train" else value
    return merged
