"""The script that a Slurm job runs, by bash itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hubkit.scheduling import Job, Needs, slurm

APPTAINER = """#!/bin/bash
echo "in $3: ${*:4}"
shift 3
exec "$@"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a program `apptainer` that runs a command without any container."""
    program = tmp_path / "bin" / "apptainer"
    program.parent.mkdir()
    program.write_text(APPTAINER, "utf-8")
    program.chmod(0o755)
    made = tmp_path / "the job's folder"
    made.mkdir()
    return made


def ran(job: Job, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "job.sh"
    script.write_text(slurm.script(job), "utf-8")
    return subprocess.run(["bash", script], capture_output=True, text=True, check=False)


def test_a_container_that_the_prologue_makes_available(folder: Path, tmp_path: Path) -> None:
    """`module load` is a function of the shell that changes PATH; both reach the command."""
    prologue = "module() { export PATH=$PWD/../$2:$PATH; }\nmodule load bin\nexport SEEN=yes"
    command = ("apptainer", "exec", "--nv", "hubkit.sif", "bash", "-c", 'echo "$SEEN in $PWD"')
    done = ran(Job("a", folder, command, {}, Needs(prologue=prologue)), tmp_path)
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first.startswith("in hubkit.sif: bash -c")
    assert second == f"yes in {folder}"


def test_a_prologue_that_fails_runs_nothing(folder: Path, tmp_path: Path) -> None:
    needs = Needs(prologue="module load cuda\necho not reached")
    done = ran(Job("a", folder, ("echo", "started"), {}, needs), tmp_path)
    assert (done.returncode, done.stdout) == (96, "")
    assert "module: command not found" in done.stderr
