"""What the tests of the hub share: digests of folders, git with a token."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from hubkit.rehearsal import Running

NAME = "org/InternVL2-Test"


def digests(folder: Path) -> dict[str, str]:
    """Path to sha256 of every file below `folder`, hidden folders left out."""
    files = (path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    shown = {
        name: path
        for name, path in named.items()
        if not name.startswith((".git/", ".cache/", "._____temp"))
    }
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in shown.items()}


def git(
    *arguments: str, cwd: Path, hub: Running, token: str | None = None
) -> subprocess.CompletedProcess[str]:
    """git that answers the hub's question for a password with `token` (the hub's own without one),
    through GIT_ASKPASS."""
    askpass = cwd / ".askpass"
    askpass.write_text(
        '#!/bin/sh\ncase "$1" in Username*) echo user;; *) printenv HUB_TOKEN;; esac\n'
    )
    askpass.chmod(0o700)
    who = {
        f"GIT_{role}_{key}": "tester@example.invalid"
        for role in ("AUTHOR", "COMMITTER")
        for key in ("NAME", "EMAIL")
    }
    quiet = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(_config(cwd)),
        "GIT_TERMINAL_PROMPT": "0",
    }
    environment = {
        **os.environ,
        **who,
        **quiet,
        "GIT_ASKPASS": str(askpass),
        "HUB_TOKEN": token or hub.token,
    }
    return subprocess.run(
        ["git", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _config(cwd: Path) -> Path:
    path = cwd / ".config"
    keys = {
        "clean": "git-lfs clean -- %f",
        "smudge": "git-lfs smudge -- %f",
        "process": "git-lfs filter-process",
    }
    lines = "".join(f"\t{key} = {value}\n" for key, value in keys.items())
    path.write_text(f'[filter "lfs"]\n{lines}\trequired = true\n[init]\n\tdefaultBranch = main\n')
    return path


def command(name: str) -> str:
    """A program installed beside this interpreter."""
    return str(Path(sys.executable).with_name(name))
