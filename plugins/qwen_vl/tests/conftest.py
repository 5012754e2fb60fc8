"""A tiny Qwen2.5-VL in Qwen's layout, of random numbers, and pictures for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from testing.tiny_processor import QWEN, make, pictures


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(QWEN, tmp_path_factory.mktemp("qwen") / "base")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("colours") / "images")
