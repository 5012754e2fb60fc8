"""Packages that contradict one another, in an environment that a user has made."""

from __future__ import annotations

import sys
import venv
from pathlib import Path
from typing import Any

import packaging
import pytest
from testing.locked_plugin import wheel

from hubkit.environments import Environment, health
from hubkit.sdk import EnvironmentFailure


@pytest.fixture
def interpreter(tmp_path: Path) -> Path:
    """A virtual environment without pip, with this one's `packaging`."""
    venv.create(tmp_path / "mine", with_pip=False, symlinks=True)
    (site,) = (tmp_path / "mine").glob("lib/python*/site-packages")
    (site / "packaging").symlink_to(Path(packaging.__file__).parent)
    return tmp_path / "mine" / "bin" / "python"


def add(
    interpreter: Path, tmp_path: Path, name: str, version: str, requires: tuple[str, ...] = ()
) -> None:
    import zipfile

    (site,) = interpreter.parent.parent.glob("lib/python*/site-packages")
    value = 40 if name == "tinyone" else 2
    with zipfile.ZipFile(
        wheel(tmp_path / "w", name, version, f"def answer():\n    return {value}\n", requires)
    ) as archive:
        archive.extractall(site)


def test_contradictions_are_named_and_hinder_nothing(
    install: Any, interpreter: Path, tmp_path: Path
) -> None:
    add(
        interpreter,
        tmp_path,
        "tinyone",
        "1.0",
        (
            "tiny.three>=2; python_version >= '3'",
            "absent==1",
            "windows_only; sys_platform == 'win32'",
        ),
    )
    add(
        interpreter,
        tmp_path,
        "tinytwo",
        "2.0",
        ("tinyone<1", "tinyone[fast]", "unused[x]; extra == 'more'"),
    )
    add(interpreter, tmp_path, "tiny_three", "1.5")
    add(interpreter, tmp_path, "unrelated", "1.0", ("tinyone>5",))
    found = health(install(), Environment(interpreter), tmp_path / "health")
    assert found.missing == ()
    assert found.versions == {"tinyone": "1.0", "tinytwo": "2.0"}
    assert found.conflicts == (
        "tinyone 1.0 requires absent==1, which is not installed",
        "tinyone 1.0 requires tiny.three>=2, and 1.5 is installed",
        "tinytwo 2.0 requires tinyone<1, and 1.0 is installed",
    )


def test_what_is_missing_is_told_with_what_contradicts(
    install: Any, interpreter: Path, tmp_path: Path
) -> None:
    add(interpreter, tmp_path, "tinytwo", "2.0", ("tinyone<1",))
    with pytest.raises(EnvironmentFailure) as caught:
        health(install(), Environment(interpreter), tmp_path / "health")
    lines = caught.value.message.splitlines()
    assert (
        lines[0]
        == f"trainer tinylock cannot run in {interpreter} (Python {sys.version.split()[0]}):"
    )
    assert lines[1:] == [
        "  tinyone: ModuleNotFoundError: No module named 'tinyone'",
        "  conflict: tinytwo 2.0 requires tinyone<1, which is not installed",
    ]
    assert caught.value.remedy == f"{interpreter} -m pip install 'tinyone>=1' tinytwo"
