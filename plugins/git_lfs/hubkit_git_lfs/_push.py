"""Sending a release: what the remote lacks of it, its LFS objects, its branch and tag."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hubkit.sdk import HubkitError, PublishInput, RemoteError, Run
from hubkit.sdk.gitcli import clean_environment, run_git

from . import _local
from ._history import Place
from ._remote import ATOMIC, Remote
from ._target import Target


def try_push(remote: Remote, branch: str) -> None:
    """Logs in for a push and stops before one: a dry run of an empty commit to a branch that is not
    there."""
    with tempfile.TemporaryDirectory(prefix="hubkit-git-") as temporary:
        folder, who = (
            Path(temporary),
            {
                f"GIT_{role}_{key}": "hubkit"
                for role in ("AUTHOR", "COMMITTER")
                for key in ("NAME", "EMAIL")
            },
        )
        environment = clean_environment(isolated=True, **who)
        run_git(["init", "--quiet", "--bare", "--template="], cwd=folder, environment=environment)
        tree = run_git(
            ["hash-object", "-w", "-t", "tree", "--stdin"], cwd=folder, environment=environment
        ).strip()
        commit = run_git(
            ["commit-tree", tree, "-m", "check"], cwd=folder, environment=environment
        ).strip()
        push = (
            "push",
            "--quiet",
            "--dry-run",
            "--no-verify",
            remote.target.url,
            f"{commit}:refs/heads/hubkit-check-{branch}",
        )
        remote.git(*push, cwd=folder, GIT_DIR=temporary)


def _repository(job: PublishInput) -> dict[str, str]:
    folder = job.folder.absolute()
    return {"GIT_DIR": str(folder / ".git"), "GIT_WORK_TREE": str(folder)}


def _objects(job: PublishInput) -> list[tuple[str, int]]:
    return [(file.sha256, file.size) for file in job.files if file.lfs]


def has_objects(job: PublishInput, where: Target) -> bool:
    """A remote server got them before the refs; a local store can be looked at."""
    return where.local is None or not _local.missing(where.local, _objects(job))


def push_objects(job: PublishInput, remote: Remote, run: Run) -> None:
    local, objects = remote.target.local, _objects(job)
    if local is not None:
        _local.drop_damaged(local, objects)
    at_once = ("-c", f"lfs.concurrenttransfers={max(1, job.pace.connections)}")
    total = sum(size for _, size in objects)
    remote.lfs(
        "push",
        remote.target.url,
        job.commit,
        cwd=job.folder,
        total=total,
        config=at_once,
        **_repository(job),
    )
    if local is None:
        return
    _local.separate(local, job.folder, run)
    if lacking := _local.missing(local, objects):
        raise RemoteError(
            f"{remote.target.page}: Git LFS did not store {', '.join(lacking)}", "run again"
        )


def push_refs(place: Place, remote: Remote, run: Run) -> None:
    """All in one atomic push, where the remote has that."""
    try:
        remote.push("--atomic", remote.target.url, *place.refspecs, folder=place.git_dir)
    except HubkitError as error:
        if ATOMIC not in error.message:
            raise
        run.note(f"{remote.target.page} has no atomic push: branch and tag go in one ordinary push")
        remote.push(remote.target.url, *place.refspecs, folder=place.git_dir)
