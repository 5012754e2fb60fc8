"""A model folder to serve: the quickstart's tiny base under a name of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from testing.projects import BASE


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(
        shutil.copytree(
            BASE,
            tmp_path_factory.mktemp("served") / "InternVL2-Served",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    )
