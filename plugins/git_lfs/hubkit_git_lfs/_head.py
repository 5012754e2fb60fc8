"""A remote's HEAD: what a plain `git clone` checks out. One that names a branch that is not there
gives an empty folder, and git only warns."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk import Run
from hubkit.sdk.gitcli import clean_environment, run_git

from ._remote import Remote


def settle(remote: Remote, branch: str, run: Run) -> None:
    """Points the HEAD of a local repository at `branch` where that is its only branch and HEAD
    names none that is there; tells of any other HEAD that is not `branch`."""
    page, refs = remote.target.page, remote.refs()
    ours, head = f"refs/heads/{branch}", remote.head()
    if head == ours or ours not in refs:
        return
    branches = [name for name in refs if name.startswith("refs/heads/")]
    if remote.target.local is not None and head not in refs and branches == [ours]:
        set_head(remote.target.local, ours)
        run.note(f"{page}: its HEAD named {head or 'nothing'} and is {ours} now")
        return
    shown = f"{head.removeprefix('refs/heads/')}" if head in refs else "nothing"
    run.note(
        f"{page}: the release is on {branch}, and a plain clone shows {shown}; make {branch} the "
        f"default branch in the repository's settings, or `git symbolic-ref HEAD {ours}` in it"
    )


def set_head(repository: Path, ref: str) -> None:
    environment = clean_environment(isolated=True, GIT_DIR=str(repository))
    run_git(["symbolic-ref", "HEAD", ref], cwd=repository, environment=environment)
