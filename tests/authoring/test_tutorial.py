"""docs/plugins.md from top to bottom, and the pages made from docstrings."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


def command(line: str, site: Path) -> list[str]:
    """What a line of the tutorial is here: no network, and installed into a folder of the test's
    own."""
    program, *words = shlex.split(line.removeprefix("$ "))
    more = {"hubkit": ["-m", "hubkit"], "python": [], "pip": ["-m", "pip"]}[program]
    here = {
        "pip": ["--no-deps", "--no-index", "--target", str(site)],
        "python": ["--no-isolation"],
    }.get(program, [])
    return [sys.executable, *more, *words, *here]


@pytest.mark.integration
def test_every_step_of_the_tutorial(tmp_path: Path) -> None:
    site, outputs = tmp_path / "site", []
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "HUBKIT_HOME": str(tmp_path / "home"),
        "COLUMNS": "300",
    }
    for language, text in BLOCK.findall((ROOT / "docs" / "plugins.md").read_text("utf-8")):
        if language == "console":
            for line in text.splitlines():
                done = subprocess.run(
                    command(line, site),
                    cwd=tmp_path,
                    env=environment,
                    capture_output=True,
                    text=True,
                )
                assert done.returncode == 0, done.stdout + done.stderr
                outputs.append(done.stdout)
        else:
            name, _, content = text.partition("\n")
            path = tmp_path / name.removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, "utf-8")
    assert "skipped" in outputs[0] and "2 answers scored" in outputs[1]
    listed = next(line for line in outputs[4].splitlines() if "hubkit-starts" in line)
    assert all(word in listed for word in ("metric", "starts", "0.1.0", "1.2", str(site), "ok"))
    assert len(outputs) == 19


def test_the_reference_is_up_to_date() -> None:
    code = (
        "import sys; sys.path.insert(0, 'docs'); import make_reference; sys.exit([p.name for p, "
        "text in make_reference.pages().items() if not p.is_file() or p.read_text('utf-8') != "
        "text] or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"run `make docs`: {done.stderr[-500:]}"
