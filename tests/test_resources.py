"""Data files are found in a checkout and in an installation."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubkit import resources
from hubkit.sdk import EnvironmentFailure


def test_the_checkout_has_the_templates() -> None:
    folder = resources.templates("model_card")
    assert {"en.md.j2", "zh.md.j2"} <= {path.name for path in folder.iterdir()}


def test_an_installation_is_looked_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("hubkit/templates/x", "templates/x"):
        (tmp_path / place).mkdir(parents=True)
    monkeypatch.setattr(
        resources, "_PLACES", (tmp_path / "hubkit/templates", tmp_path / "templates")
    )
    assert resources.templates("x") == tmp_path / "hubkit/templates/x"
    (tmp_path / "hubkit/templates/x").rmdir()
    assert resources.templates("x") == tmp_path / "templates/x"


def test_missing_templates_say_what_to_do() -> None:
    with pytest.raises(EnvironmentFailure, match="'nothing' are missing") as caught:
        resources.templates("nothing")
    assert caught.value.remedy == "install hubkit again"
