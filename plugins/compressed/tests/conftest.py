"""What the exporter is given: the tiny base."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubkit.sdk import ExportInput, Vision


@pytest.fixture
def job(base: Path, native: Path, vision: Vision, tmp_path: Path) -> Callable[..., ExportInput]:
    def build(name: str = "out", **options: Any) -> ExportInput:
        output = tmp_path / name
        output.mkdir()
        return ExportInput(base, native, vision, "Tiny", output, {"threads": 1, **options})

    return build
