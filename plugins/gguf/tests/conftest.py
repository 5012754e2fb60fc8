"""What the exporter is given: the tiny base, or the same with another configuration."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubkit.sdk import ExportInput, Vision


@pytest.fixture
def job(base: Path, native: Path, vision: Vision, tmp_path: Path) -> Callable[..., ExportInput]:
    def build(name: str = "out", change: Callable[[Path], Any] | None = None, **options: Any):
        folder, output = native, tmp_path / name
        output.mkdir()
        if change is not None:
            folder = Path(shutil.copytree(native, tmp_path / f"{name}-native"))
            change(folder)
        return ExportInput(base, folder, vision, "Tiny", output, options)

    return build


def edit(name: str, **values: Any) -> Callable[[Path], None]:
    """Sets keys of a JSON file, `a__b` being `b` in `a`."""

    def change(folder: Path) -> None:
        data = json.loads((folder / name).read_text("utf-8"))
        for key, value in values.items():
            place, *path = data, *key.split("__")
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value
        (folder / name).write_text(json.dumps(data), "utf-8")

    return change
