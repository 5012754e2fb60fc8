"""The corpus: a sample in the default suite, all of it under its marker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parent / "run.py"


@pytest.mark.parametrize(
    "sample", [40, pytest.param(None, marks=pytest.mark.integration, id="all")], ids=str
)
def test_hostile_input_is_refused_in_seconds(sample: int | None) -> None:
    """Each ends with the exit code designed for it, with a remedy, within 10 s and 1 GiB."""
    chosen = ["--sample", str(sample)] if sample else []
    done = subprocess.run(
        [sys.executable, RUN, "--json", *chosen], capture_output=True, text=True, check=False
    )
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(outcomes) >= (sample or 250), done.stderr
    wrong = [(one["kind"], one["name"], one["wrong"]) for one in outcomes if one["wrong"]]
    assert wrong == []
