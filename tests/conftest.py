"""Fixtures that many tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import make_project


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All handwritten digits, written once."""
    from hubkit.quickstart.digits import write_digits

    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder)
    return folder


@pytest.fixture
def project(tmp_path: Path, digits: Path) -> Path:
    return make_project(tmp_path / "project", digits)
