"""Where torch is not installed: exit code 4 and the command that installs it, before anything is
written; the verbs that need none work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from testing.projects import BASE

import hubkit
from hubkit.sdk import EnvironmentFailure
from hubkit.sdk.install import install

WITHOUT = """
import sys
sys.modules["torch"] = None
from hubkit.__main__ import run
sys.exit(run(sys.argv[1:]))
"""


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_it_is_told_before_the_adapter_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EnvironmentFailure, match="this needs torch") as caught:
        hubkit.merge(BASE, tmp_path / "adapter", tmp_path / "out")
    assert caught.value.remedy == install("weights")


def test_merging_names_the_extra(tmp_path: Path) -> None:
    for verb in (("merge", BASE, BASE), ("assemble", BASE, BASE)):
        more = ("--family", "llava") if verb[0] == "assemble" else ()
        done = run(*verb, tmp_path / "out", *more)
        assert done.returncode == 4, done.stderr
        assert done.stderr.splitlines()[-2:] == [
            "error: this needs torch, which is not installed here",
            f"remedy: {install('weights')}",
        ]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["check", "convert"])
def test_bytes_are_moved_without_it(tmp_path: Path, verb: str) -> None:
    more = (tmp_path / "native", "--to", "hf") if verb == "convert" else ()
    assert run(verb, BASE, *more).returncode == 0
