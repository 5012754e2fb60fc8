import os
import time
from pathlib import Path

import pytest

from hubkit.sdk import CancelledError
from hubkit.sdk.gitcli import GitFailed, clean_environment, require_git_lfs, run_git

SLEEPER = ["-c", "alias.wait=!echo $$ > pid; sleep 60 & echo $! > child; wait", "wait"]


def gone(pid: int) -> bool:
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().split(") ")[-1][0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_versions_are_those_on_the_path() -> None:
    versions = require_git_lfs()
    assert tuple(map(int, versions.git.split(".")[:2])) >= (2, 30)
    assert int(versions.lfs.split(".")[0]) >= 3


def test_the_output_is_returned_and_input_is_given(tmp_path: Path) -> None:
    made = run_git(
        ["hash-object", "--stdin"], cwd=tmp_path, environment=clean_environment(), stdin=b"hello\n"
    )
    assert made == "ce013625030ba8dba906f756967f9e9ca394464a\n"


def test_a_failure_carries_gits_own_words(tmp_path: Path) -> None:
    with pytest.raises(GitFailed) as caught:
        run_git(["-c", "a.b=c", "rev-parse", "HEAD"], cwd=tmp_path, environment=clean_environment())
    assert caught.value.returncode == 128
    assert caught.value.message.startswith(
        "`git rev-parse` failed with exit code 128: fatal: not a git repository"
    )


def test_a_cancelled_command_takes_its_children_along(tmp_path: Path) -> None:
    def cancel() -> bool:
        if (tmp_path / "child").exists() and (tmp_path / "child").read_text().strip():
            raise CancelledError("interrupted", "run again")
        return False

    started = time.monotonic()
    with pytest.raises(CancelledError):
        run_git(SLEEPER, cwd=tmp_path, environment=clean_environment(), tick=cancel)
    assert time.monotonic() - started < 20
    assert gone(int((tmp_path / "pid").read_text()))
    assert gone(int((tmp_path / "child").read_text()))


def test_without_progress_it_is_stopped_and_with_progress_it_is_not(tmp_path: Path) -> None:
    with pytest.raises(GitFailed) as caught:
        run_git(SLEEPER, cwd=tmp_path, environment=clean_environment(), patience=0.5)
    assert caught.value.returncode is None
    assert "made no progress" in caught.value.message
    slow = ["-c", "alias.wait=!sleep 1; echo done", "wait"]
    assert (
        run_git(
            slow, cwd=tmp_path, environment=clean_environment(), patience=0.4, tick=lambda: True
        )
        == "done\n"
    )


def test_the_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "GIT_LFS_SKIP_PUSH",
        "GIT_TRACE_CURL",
        "GIT_AUTHOR_DATE",
    ):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -i key")
    environment = clean_environment()
    assert (
        not {"GIT_DIR", "GIT_INDEX_FILE", "GIT_LFS_SKIP_PUSH", "GIT_TRACE_CURL", "GIT_AUTHOR_DATE"}
        & environment.keys()
    )
    assert environment["GIT_SSH_COMMAND"] == "ssh -i key"
    assert environment["GIT_TERMINAL_PROMPT"] == "0"
    assert environment["PATH"] == os.environ["PATH"]
    assert clean_environment(isolated=True, GIT_X="1") | environment != environment
    assert clean_environment(isolated=True)["GIT_CONFIG_GLOBAL"] == os.devnull
