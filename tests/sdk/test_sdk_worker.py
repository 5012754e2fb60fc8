"""The worker by itself: its Run, and a start by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hubkit.sdk import CancelledError
from hubkit.sdk.worker import PipeRun, load


def lines(reader: int) -> list[dict[str, object]]:
    os.set_blocking(reader, False)
    try:
        return [json.loads(line) for line in os.read(reader, 1 << 20).splitlines()]
    except BlockingIOError:
        return []


def test_reports_are_lines_and_frequent_ones_are_dropped() -> None:
    reader, writer = os.pipe()
    run = PipeRun(writer)
    for done in range(5):
        run.progress(done, 4, "steps", loss=1)
    run.progress(4, 4, "steps")
    run.note("said")
    assert lines(reader) == [
        {"done": 0.0, "total": 4.0, "unit": "steps", "numbers": {"loss": 1.0}},
        {"done": 4.0, "total": 4.0, "unit": "steps", "numbers": {"loss": 1.0}},
        {"note": "said"},
    ]
    os.close(reader)
    run.note("nobody listens any more")
    os.close(writer)


def test_cancelling_raises_at_the_next_check() -> None:
    run = PipeRun(None)
    run.check_cancelled()
    run.cancel(15, None)
    with pytest.raises(CancelledError):
        run.check_cancelled()


def test_a_reference_names_a_class() -> None:
    assert type(load("hubkit.sdk.run:SilentRun")).__name__ == "SilentRun"
    with pytest.raises(AttributeError):
        load("hubkit.sdk.run:Nothing")


def test_a_worker_started_by_hand_answers_and_leaves_its_shell_alive(tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text(
        "from hubkit.sdk import Requirements\n"
        "class P:\n    kind, name, requirements = 'trainer', 'p', Requirements((('json', "
        "''), ('nothing_here', '')), 'x')\n"
    )
    (tmp_path / "input.json").write_text(
        json.dumps({"plugin": "plugin:P", "call": "health", "input": None})
    )
    done = subprocess.run(
        [sys.executable, "-m", "hubkit.sdk.worker", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0
    answer = json.loads((tmp_path / "output.json").read_text())
    assert answer["ok"] is True
    assert answer["result"]["versions"] == {"json": ""}
    assert answer["result"]["missing"] == [
        "nothing_here: ModuleNotFoundError: No module named 'nothing_here'"
    ]
    assert sorted(path.name for path in tmp_path.glob("*.json*")) == ["input.json", "output.json"]


def test_an_input_that_is_none_is_an_answer_too(tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text("{")
    done = subprocess.run(
        [sys.executable, "-m", "hubkit.sdk.worker", str(tmp_path)], capture_output=True, check=False
    )
    assert done.returncode == 1
    assert json.loads((tmp_path / "output.json").read_text())["error"]["message"].startswith(
        "JSONDecodeError"
    )
