"""InternVL3.5 (Qwen3) in its official layout, from base to a fresh download."""

from __future__ import annotations

from pathlib import Path

import pytest
from testing.processor_checks import check_released
from testing.tiny_internvl35 import make


@pytest.mark.integration
def test_a_whole_release(tmp_path: Path) -> None:
    make(tmp_path / "base", steps=220)
    check_released(tmp_path, "InternVL3.5-Tiny-Colours")
