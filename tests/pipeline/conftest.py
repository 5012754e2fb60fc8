"""One release that many tests look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from testing.projects import make_project

import hubkit

STRAYS = (".env", "secret_notes.txt", "runs/events.txt")


@pytest.fixture(scope="session")
def released(
    tmp_path_factory: pytest.TempPathFactory, digits: Path
) -> tuple[Path, hubkit.ReleaseResult]:
    """Its release file and its result; strays lie in the base's folder."""
    spec = make_project(tmp_path_factory.mktemp("release"), digits)
    for name in STRAYS:
        stray = spec.parent / "base" / name
        stray.parent.mkdir(exist_ok=True)
        stray.write_text("TOKEN=abc")
    return spec, hubkit.release(spec)
