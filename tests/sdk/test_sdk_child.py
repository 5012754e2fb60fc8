"""Programs inside a worker: their lines, their end, and ours."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from hubkit.sdk import CancelledError, RefusedError, SilentRun
from hubkit.sdk.child import last_lines, ran_out_of_memory, run_logged


def python(program: str, log: Path, run: SilentRun | None = None, **more: object) -> int:
    return run_logged(
        [sys.executable, "-c", program], log, run or SilentRun(), cwd=log.parent, **more
    )  # type: ignore[arg-type]


def test_lines_are_told_and_the_exit_code_comes_back(tmp_path: Path) -> None:
    told: list[str] = []
    program = (
        "import os, sys; print('one'); print(os.getcwd()); sys.stdout.write('no end'); sys.exit(3)"
    )
    (tmp_path / "log").write_text("of an earlier run\n")
    assert python(program, tmp_path / "log", line=told.append) == 3
    assert (
        told == ["one", str(tmp_path)]
        and (tmp_path / "log").read_text() == f"one\n{tmp_path}\nno end"
    )
    assert (
        python(
            "import os; print(sorted(os.environ)[-1])",
            tmp_path / "log",
            variables={"ZZZ": "1"},
            line=told.append,
        )
        == 0
    )
    assert told[-1] == "ZZZ"


def test_it_ends_when_interrupted_or_refused(tmp_path: Path) -> None:
    class Impatient(SilentRun):
        def check_cancelled(self) -> None:
            raise CancelledError("interrupted", "run again")

    def refuse(text: str) -> None:
        raise RefusedError(text, "fix it")

    begun = time.monotonic()
    with pytest.raises(CancelledError):
        python("import time; time.sleep(60)", tmp_path / "log", Impatient())
    with pytest.raises(RefusedError, match="bad"):
        python(
            "import time; print('bad', flush=True); time.sleep(60)", tmp_path / "log", line=refuse
        )
    assert time.monotonic() - begun < 30


def test_the_end_of_a_log_is_the_cause(tmp_path: Path) -> None:
    cause = (
        "[rank0]: Traceback (most recent call last):\n[rank0]:   File 'x.py'\n[rank0]: "
        "ValueError: bad\n"
    )
    shown = [f"    {line}" for line in cause.splitlines()]
    for after in (
        "E1121 torch/distributed/elastic/multiprocessing/api.py:988] failed\nTraceback "
        "(most recent call last):\nFailed\n",
        "[2026-01-01] [INFO] [launch.py:315:sigkill_handler] Killing subprocess 7\n",
    ):
        (tmp_path / "log").write_text(f"step 1\n\nstep 2\n{cause}{after}")
        assert last_lines(tmp_path / "log").split("\n") == shown
    (tmp_path / "log").write_text("step 1\ntorch.cuda.OutOfMemoryError\n")
    assert (
        last_lines(tmp_path / "log", lambda line: line.startswith("step"))
        == "    torch.cuda.OutOfMemoryError"
    )
    assert (
        ran_out_of_memory(tmp_path / "log")
        and not ran_out_of_memory(tmp_path / "none")
        and last_lines(tmp_path / "none") == ""
    )
