"""Git and Git LFS as commands: that they are there, a clean environment for them, and runs that can
be watched and stopped."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import EnvironmentFailure
from .text import one_line

GIT_LEAST = (2, 30)
LFS_LEAST = (3, 0)

GIT_REMEDY = (
    "install git 2.30 or newer: `apt-get install git` (Debian, Ubuntu), `dnf install git` "
    "(Fedora), `brew install git` (macOS)"
)
LFS_REMEDY = (
    "install Git LFS 3.0 or newer: `apt-get install git-lfs` (Debian, Ubuntu), `dnf install "
    "git-lfs` (Fedora), `brew install git-lfs` (macOS), or without root `conda install -c "
    "conda-forge git-lfs`"
)

LFS_FILTER = (
    ("clean", "git-lfs clean -- %f"),
    ("smudge", "git-lfs smudge -- %f"),
    ("process", "git-lfs filter-process"),
    ("required", "true"),
)
"""What `git lfs install` writes under `filter.lfs`."""

_REPOSITORY_VARIABLES = frozenset(
    f"GIT_{name}"
    for name in (
        *(
            "ALTERNATE_OBJECT_DIRECTORIES",
            "OBJECT_DIRECTORY",
            "DIR",
            "COMMON_DIR",
            "WORK_TREE",
            "IMPLICIT_WORK_TREE",
            "INDEX_FILE",
        ),
        *(
            "GRAFT_FILE",
            "NO_REPLACE_OBJECTS",
            "REPLACE_REF_BASE",
            "PREFIX",
            "INTERNAL_SUPER_PREFIX",
            "SHALLOW_FILE",
            "NAMESPACE",
        ),
        *("CONFIG", "CEILING_DIRECTORIES", "DEFAULT_HASH", "TEMPLATE_DIR", "CURL_VERBOSE"),
    )
)
_SESSION_PREFIXES = ("GIT_LFS_", "GIT_TRACE", "GIT_AUTHOR_", "GIT_COMMITTER_")


class GitFailed(EnvironmentFailure):
    """A git command that exited with an error. `returncode` is None when it was stopped for making
    no progress."""

    def __init__(self, command: str, returncode: int | None, stderr: str) -> None:
        self.command, self.returncode, self.stderr = command, returncode, stderr
        lines = [one_line(line) for line in stderr.splitlines() if line.strip()]
        detail = " | ".join(lines[-6:])[-800:] or "it said nothing"
        how = (
            "made no progress and was stopped"
            if returncode is None
            else f"failed with exit code {returncode}"
        )
        super().__init__(
            f"`{command}` {how}: {detail}",
            "read git's own message above; `git --version` and free disk space are common causes",
        )


@dataclass(frozen=True)
class GitVersions:
    git: str
    lfs: str


def require_git() -> str:
    """The version of the git on PATH.

    Raises:
        EnvironmentFailure: there is none, or it is older than 2.30.
    """
    return _version(
        ["git", "--version"], r"git version (\d+)\.(\d+)[^\s]*", GIT_LEAST, "git", GIT_REMEDY
    )


def require_git_lfs() -> GitVersions:
    """The versions of git and Git LFS on PATH.

    Raises:
        EnvironmentFailure: one is missing or too old; the remedy names the command that installs
            it.
    """
    git = require_git()
    return GitVersions(
        git,
        _version(
            ["git", "lfs", "version"],
            r"git-lfs/(\d+)\.(\d+)[^\s]*",
            LFS_LEAST,
            "Git LFS",
            LFS_REMEDY,
        ),
    )


def _version(
    command: list[str], pattern: str, least: tuple[int, int], name: str, remedy: str
) -> str:
    if shutil.which(command[0]) is None:
        raise EnvironmentFailure(f"{name} is not on PATH", remedy)
    done = subprocess.run(
        command, capture_output=True, text=True, env=clean_environment(), timeout=60, check=False
    )
    found = re.search(pattern, done.stdout)
    if done.returncode or not found:
        raise EnvironmentFailure(
            f"{name} is not installed: `{' '.join(command)}` does not answer", remedy
        )
    if (int(found[1]), int(found[2])) < least:
        raise EnvironmentFailure(
            f"{name} {found[1]}.{found[2]} is too old, {least[0]}.{least[1]} is needed", remedy
        )
    return found[0].removeprefix("git version ").removeprefix("git-lfs/")


def clean_environment(*, isolated: bool = False, **extra: str) -> dict[str, str]:
    """The process environment without what ties git to another repository (a hook's GIT_DIR),
    switches off LFS uploads or traces; messages in English, no prompts. `isolated` also hides the
    user's and the system's git configuration."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in _REPOSITORY_VARIABLES and not name.startswith(_SESSION_PREFIXES)
    }
    environment.update(LC_ALL="C", LANGUAGE="C", GIT_TERMINAL_PROMPT="0", GCM_INTERACTIVE="never")
    if isolated:
        for name in ("GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"):
            environment.pop(name, None)
        environment.update(
            GIT_CONFIG_NOSYSTEM="1", GIT_ATTR_NOSYSTEM="1", GIT_CONFIG_GLOBAL=os.devnull
        )
        # git before 2.32 does not know GIT_CONFIG_GLOBAL
        environment.update(HOME=os.devnull, XDG_CONFIG_HOME=os.devnull)
    environment.update(extra)
    return environment


def run_git(
    arguments: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    stdin: bytes = b"",
    patience: float = 600.0,
    tick: Callable[[], bool] | None = None,
) -> str:
    """Runs `git ARGUMENTS` in a process group of its own and returns its stdout.

    `tick` is called about ten times a second; it returns True when the command has progressed, and
    what it raises (a cancellation) stops the whole group. Without progress for `patience` seconds
    the group is stopped.

    Raises:
        GitFailed: with git's stderr.
    """
    command = ["git", *arguments]
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            stdout, stderr, stalled = _watch(process, stdin, patience, tick)
        except BaseException:
            _stop(process)
            raise
    name = "git " + next(
        (argument for argument in arguments if re.fullmatch(r"[a-z][a-z-]*", argument)), ""
    )
    if stalled or process.returncode:
        raise GitFailed(
            name, None if stalled else process.returncode, stderr.decode(errors="replace")
        )
    return stdout.decode(errors="surrogateescape")


def _watch(
    process: subprocess.Popen[bytes], stdin: bytes, patience: float, tick: Callable[[], bool] | None
) -> tuple[bytes, bytes, bool]:
    deadline = time.monotonic() + patience
    pending: bytes | None = stdin
    while True:
        try:
            stdout, stderr = process.communicate(pending, timeout=0.1)
            return stdout, stderr, False
        except subprocess.TimeoutExpired:
            pending = None
        if tick is not None and tick():
            deadline = time.monotonic() + patience
        if time.monotonic() > deadline:
            _stop(process)
            stdout, stderr = process.communicate()
            return stdout, stderr, True


def _stop(process: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            continue
