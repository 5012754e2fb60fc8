"""How pip is called and read: its variables, its lines, what its failures mean."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from hubkit.environments import pip
from hubkit.environments.build import SUPERVISOR


def test_pip_gets_its_settings_and_no_token() -> None:
    host = {
        "PATH": "/bin",
        "HOME": "/home/x",
        "PIP_INDEX_URL": "https://mirror/simple",
        "HTTPS_PROXY": "http://proxy",
        "CC": "clang",
        "PIP_TARGET": "/elsewhere",
        "PYTHONPATH": "/poison",
        "VIRTUAL_ENV": "/v",
        "HF_TOKEN": "t",
        "MODELSCOPE_API_TOKEN": "t",
        "GIT_TOKEN": "t",
        "CUDA_SECRET": "t",
        "AWS_SECRET_ACCESS_KEY": "t",
    }
    got = pip.variables(host, {"DS_BUILD_OPS": "0"})
    assert got == {
        "PATH": "/bin",
        "HOME": "/home/x",
        "PIP_INDEX_URL": "https://mirror/simple",
        "HTTPS_PROXY": "http://proxy",
        "CC": "clang",
        "DS_BUILD_OPS": "0",
        **pip.FIXED,
    }
    assert got["PIP_NO_INPUT"] == "1"


def test_the_command_installs_exactly_what_is_listed() -> None:
    command = pip.install(
        Path("/e/bin/python"),
        Path("/r.txt"),
        isolated=False,
        find_links=["https://x/y", "/w"],
        no_index=True,
    )
    assert command[:5] == [sys.executable, "-m", "pip", "--python", "/e/bin/python"]
    assert command[5:7] == ["install", "--no-deps"]
    assert command[-8:] == [
        "--no-build-isolation",
        "--find-links",
        "https://x/y",
        "--find-links",
        "/w",
        "--no-index",
        "-r",
        "/r.txt",
    ]


def supervised(text: str, code: int = 0) -> tuple[int, str, list[dict[str, object]]]:
    """Exit code, log and reports of a command that says `text`, of three packages."""
    reports, theirs = os.pipe()
    program = f"import sys; sys.stdout.write({text!r}); sys.exit({code})"
    process = subprocess.Popen(
        [sys.executable, str(SUPERVISOR), "3", sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HUBKIT_PROGRESS_FD": str(theirs)},
        pass_fds=(theirs,),
        start_new_session=True,
    )
    os.close(theirs)
    with process, os.fdopen(reports) as lines:
        assert process.stdout
        return process.wait(), process.stdout.read(), [json.loads(line) for line in lines]


PIP = """\
Collecting torch==2.13.0 (from -r requirements.txt (line 1))
  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (532.4 MB)
Progress 1000000 of 2000000
Progress 2000000 of 2000000
Collecting six (from -r requirements.txt (line 2))
  Downloading six-1.17.0-py2.py3-none-any.whl (11 kB)
Processing ./deepspeed-0.16.2.tar.gz (from -r requirements.txt (line 3))
  Installing build dependencies: finished with status 'done'
  Building wheel for deepspeed (pyproject.toml): started
Installing collected packages: six, torch, deepspeed
"""


def test_pips_lines_become_progress_and_notes() -> None:
    code, log, reports = supervised(PIP, code=3)
    assert code == 3
    assert log.splitlines() == [
        line for line in PIP.splitlines() if not line.startswith("Progress")
    ]
    progress = [(one["done"], one["total"], one["numbers"]) for one in reports if "done" in one]
    assert progress[0] == (1, 3, {})
    assert progress[-1] == (3, 3, {"MB": 2.0})
    assert [one["note"] for one in reports if "note" in one] == [
        "downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (532.4 MB)",
        "building deepspeed",
        "installing 3 packages",
    ]


def test_the_supervised_command_dies_with_its_lifeline() -> None:
    reports, theirs = os.pipe()
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, str(SUPERVISOR), "1", sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "HUBKIT_PROGRESS_FD": str(theirs)},
        pass_fds=(theirs,),
        start_new_session=True,
    )
    os.close(theirs)
    with process:
        assert process.stdin and process.stdout
        child = int(process.stdout.readline())
        process.stdin.close()
        assert process.wait(timeout=10) == -9
        end = time.monotonic() + 5
        while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < end
            time.sleep(0.02)
    os.close(reports)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by "
            "'NewConnectionError(\"...: Failed to establish a new"
            " connection: [Errno 111] Connection refused\")': /simple/x/\nERROR: No "
            "matching distribution found for x==1",
            "the package index cannot be reached",
        ),
        (
            "ERROR: No matching distribution found for x==1",
            "there is no such version for this Python and platform",
        ),
        (
            "ERROR: Ignored the following versions that require a different python "
            "version: 1.0 Requires-Python >=3.12\n"
            "ERROR: No matching distribution found for x==1.0",
            "a package is not for this Python version",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on "
            "device",
            "the disk is full",
        ),
        (
            "  error: command 'gcc' failed: No such file or directory\n  ERROR: Failed "
            "building wheel for x",
            "a package has no wheel for this machine and there is no compiler that builds it",
        ),
        (
            "  op_builder.MissingCUDAException: CUDA_HOME does not exist, unable to "
            "compile\nerror: metadata-generation-failed",
            "a package wants to compile CUDA code and there is no CUDA toolkit",
        ),
        (
            "  ValueError: odd\n  ERROR: Failed building wheel for x",
            "a package does not build here",
        ),
        ("/v/bin/python: No module named pip", "hubkit's own Python has no pip"),
        ("ERROR: [Errno 13] Permission denied: '/x'", "a folder is not writable"),
        ("something else altogether", "ended with exit code 7"),
    ],
)
def test_each_failure_is_explained_with_the_lines_that_matter(
    tmp_path: Path, said: str, cause: str
) -> None:
    log = tmp_path / "x.log"
    log.write_text("Collecting a\n" * 3 + "  noise\n" * 50 + said + "\n")
    error = pip.failure("step 1", 7, log)
    assert error.message.startswith(f"step 1: {cause}\n")
    assert said.splitlines()[-1].strip() in error.message
    assert "Collecting" not in error.message and error.message.count("noise") <= 1
    assert str(log) in error.remedy and len(error.remedy) > len(str(log)) + 5


def test_a_kill_is_taken_for_want_of_memory(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("Building wheel for x: started\n")
    error = pip.failure("step 1", 137, tmp_path / "x.log")
    assert "memory ran out" in error.message and "MAX_JOBS=1" in error.remedy
