"""configuration.json: what ModelScope reads of a model beside its card."""

from __future__ import annotations

import json
from pathlib import Path

CONFIGURATION = "configuration.json"


def write_configuration(folder: Path, task: str) -> Path:
    """Writes folder/configuration.json for a PyTorch model and its task (a pipeline tag); one that
    is there already is kept."""
    path = folder / CONFIGURATION
    if not path.exists():
        path.write_text(
            json.dumps({"framework": "pytorch", "task": task}) + "\n",
            encoding="utf-8",
            newline="\n",
        )
    return path
