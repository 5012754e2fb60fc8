"""The plugin that fails a whole run for a message that no test has had made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = {
    "pyproject.toml": """
        [tool.pytest.ini_options]
        testpaths = ["tests"]
        pythonpath = ["."]
        markers = ["integration"]
    """,
    "room/judge.py": """
        from hubkit.sdk.errors import DataError, UsageError
        from hubkit.sdk.family import Problem

        def judge(number):
            if number == 1:
                raise DataError("one", "write two")
            if number == 2:
                return Problem("two", "is even", "write three")
            if number == 3:
                raise UsageError("three", "write four")
            if number == 4:
                raise UsageError("the disk is full", "make room")
    """,
    "tests/conftest.py": """
        import sys
        sys.path.append({testing!r})
        import reached

        def pytest_configure(config):
            excused = {{("room/judge.py", "disk is full"): "a full disk"}}
            config.pluginmanager.register(reached.Reached(config, ["room"], excused))
    """,
    "tests/test_judge.py": """
        import pytest
        from room.judge import judge

        @pytest.mark.parametrize("number", [{numbers}])
        def test_it(number):
            try:
                judge(number)
            except Exception:
                pass
    """,
}


def run(folder: Path, numbers: str, *options: str) -> tuple[int, str]:
    testing = str(ROOT / "tests" / "testing")
    for name, text in FILES.items():
        lines = [line.removeprefix(" " * 8) for line in text.strip("\n").split("\n")]
        given = "\n".join(lines)
        if name.startswith("tests/"):
            given = given.format(testing=testing, numbers=numbers)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(given)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "xdist", *options]
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("processes", [[], ["-n", "1"]], ids=["one", "xdist"])
def test_a_site_that_no_test_meets_fails_a_whole_run(processes: list[str], tmp_path: Path) -> None:
    code, told = run(tmp_path, "1, 2", "-m", "not integration", *processes)
    assert code == 1
    assert "room/judge.py:10: UsageError('three', 'write four')\n" in told
    assert "DataError" not in told and "Problem" not in told and "disk" not in told


def test_a_run_that_meets_all_passes(tmp_path: Path) -> None:
    code, told = run(tmp_path, "1, 2, 3", "-m", "not integration")
    assert code == 0 and "made by no test" not in told


def test_a_run_of_some_tests_is_not_judged(tmp_path: Path) -> None:
    assert run(tmp_path, "1, 2", "-m", "not integration", "tests")[0] == 0
