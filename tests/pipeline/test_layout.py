"""A release in another layout than the base's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from testing.projects import NAME

import hubkit


@pytest.mark.integration
def test_a_release_in_transformers_own_layout(project: Path) -> None:
    """Trained on the official layout, asked, packaged, pushed and downloaded in the other."""
    hub = project.parent / "hub" / f"{NAME}.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(hub)], check=True)
    result = hubkit.release(project, overrides=["merge.layout=hf", "verify.deep=true"])
    config = json.loads((result.folder / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["InternVLForConditionalGeneration"]
    assert hubkit.check(result.folder) == ()
    assert not list(result.folder.glob("*.py")) and len(result.receipts) == 1
    assert "-HF layout" in (result.folder / "README.md").read_text("utf-8")
