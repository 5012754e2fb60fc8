"""docs/plugins.md from top to bottom, and the pages made from docstrings."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hubkit.cli import cli

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


@pytest.mark.integration
def test_every_step_of_the_tutorial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outputs = []
    for language, text in BLOCK.findall((ROOT / "docs" / "plugins.md").read_text("utf-8")):
        if language == "console":
            for line in text.splitlines():
                program, *words = shlex.split(line.removeprefix("$ "))
                assert program == "hubkit", line
                done = CliRunner().invoke(cli, words, catch_exceptions=False)
                assert done.exit_code == 0, done.output
                outputs.append(done.output)
        else:
            name, _, content = text.partition("\n")
            path = tmp_path / name.removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, "utf-8")
    assert "skipped" in outputs[0] and "2 answers scored" in outputs[1]
    assert len(outputs) == 14


def test_the_reference_is_up_to_date() -> None:
    code = (
        "import sys; sys.path.insert(0, 'docs'); import make_reference; "
        "sys.exit([p.name for p, text in make_reference.pages().items() if not p.is_file() or p.read_text('utf-8') != text] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"run `make docs`: {done.stderr[-500:]}"
