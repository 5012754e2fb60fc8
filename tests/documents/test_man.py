"""Manual pages are made of the commands themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from testing.pages import DOCS, ROOT


@pytest.mark.skipif(sys.version_info < (3, 11), reason="click-man needs Python 3.11")
@pytest.mark.skipif(shutil.which("man") is None, reason="there is no man here")
def test_every_command_has_a_page(tmp_path: Path) -> None:
    script = [sys.executable, str(DOCS / "make_man.py"), str(tmp_path), "2026-01-31"]
    subprocess.run(script, check=True)
    names = {page.name for page in (tmp_path / "man1").iterdir()}
    assert {"hubkit.1", "hubkit-release.1", "hubkit-env-build.1"} <= names
    shown = subprocess.run(
        ["man", "-M", str(tmp_path), "hubkit-release"],
        env={**os.environ, "MANWIDTH": "200"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "hubkit-release - Run a release: data, adapter, model, card, hubs, proof" in shown
    assert "--until STAGE" in shown and "2026-01-31" in shown


def test_the_wheel_takes_the_pages_that_are_written(tmp_path: Path) -> None:
    hook = run_path(str(ROOT / "hatch_build.py"))["ManualPages"]
    page = tmp_path / "build" / "man" / "man1" / "hubkit-release.1"

    def taken() -> Any:
        data: dict[str, Any] = {"shared_data": {}}
        hook(str(tmp_path), {}, None, None, "", "wheel").initialize("standard", data)
        return data["shared_data"]

    assert taken() == {}
    page.parent.mkdir(parents=True)
    page.write_text(".TH HUBKIT")
    assert taken() == {str(page): "share/man/man1/hubkit-release.1"}
