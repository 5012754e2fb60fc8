"""A tiny real release: the quickstart's base, real handwriting, few training steps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import hubkit

BASE = Path(hubkit.__file__).parent / "quickstart" / "base"
NAME = "InternVL2-Tiny-Test"

RELEASE = f"""\
name: {NAME}
base:
  path: base
  name: hubkit/InternVL2-Tiny
data:
  path: data/digits.json
  images: data/images
  license: cc-by-4.0
  holdout: 6
train:
  options: {{rank: 4, alpha: 8, steps: 3, batch_size: 4, learning_rate: 1.0e-3, checkpoint_every: 1}}
smoke:
  images: 1
  prompts: ["Which digit is this?", "Is it even or odd?"]
evaluate:
  limit: 4
publish:
  - to: git:./hub/{NAME}.git
"""  # noqa: E501


def make_project(folder: Path, digits: Path, records: int = 24) -> Path:
    """A folder with base, `records` digits and release.yaml; the path of the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(BASE, folder / "base", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data" / "images").mkdir(parents=True)
    chosen = json.loads((digits / "digits.json").read_text("utf-8"))[:records]
    for record in chosen:
        shutil.copy2(
            digits / "images" / record["image"], folder / "data" / "images" / record["image"]
        )
    (folder / "data" / "digits.json").write_text(json.dumps(chosen), "utf-8")
    spec = folder / "release.yaml"
    spec.write_text(RELEASE, "utf-8")
    return spec
