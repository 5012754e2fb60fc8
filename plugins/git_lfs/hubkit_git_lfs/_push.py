"""Sending a release: what the remote lacks of it, its LFS objects, its branch and tag."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk import HubkitError, PublishInput, RefusedError, RemoteError, Run
from hubkit.sdk.gitcli import GitFailed, clean_environment, run_git

from . import _local
from ._remote import Remote
from ._target import Target


def try_push(remote: Remote, branch: str) -> None:
    """Logs in for a push and stops before one: a dry run of an empty commit to a branch that is not there."""
    with tempfile.TemporaryDirectory(prefix="hubkit-git-") as temporary:
        folder, who = (
            Path(temporary),
            {f"GIT_{role}_{key}": "hubkit" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")},
        )
        environment = clean_environment(isolated=True, **who)
        run_git(["init", "--quiet", "--bare", "--template="], cwd=folder, environment=environment)
        tree = run_git(["hash-object", "-w", "-t", "tree", "--stdin"], cwd=folder, environment=environment).strip()
        commit = run_git(["commit-tree", tree, "-m", "check"], cwd=folder, environment=environment).strip()
        push = ("push", "--quiet", "--dry-run", "--no-verify", remote.target.url, f"{commit}:refs/heads/hubkit-check-{branch}")
        remote.git(*push, cwd=folder, GIT_DIR=temporary)


def refs_to_push(job: PublishInput, branch: str, refs: Mapping[str, str], where: Target) -> list[str]:
    """The refspecs that the remote lacks; none when it has this release.

    Raises:
        RefusedError: the tag names another commit there, or the branch has commits that this release does not build on.
    """
    tag_ref, branch_ref = f"refs/tags/{job.tag}", f"refs/heads/{branch}"
    tagged, head = refs.get(tag_ref), refs.get(branch_ref)
    if tagged not in (None, job.commit):
        raise RefusedError(
            f"{where.page} has another release under the tag {job.tag} (commit {tagged}, this one is {job.commit})",
            "publish under another tag, or to another repository",
        )
    if tagged == job.commit and head is not None:
        return []
    if head is not None and not _builds_on(job, head):
        raise RefusedError(
            f"{where.page} has commits on {branch} that this release does not build on (its head is {head})",
            "publish to another repository or branch; nothing is ever overwritten",
        )
    wanted = [] if head == job.commit else [f"{job.commit}:{branch_ref}"]
    return wanted + ([] if tagged else [f"{tag_ref}:{tag_ref}"])


def _builds_on(job: PublishInput, head: str) -> bool:
    ancestry = ["merge-base", "--is-ancestor", head, job.commit]
    try:
        run_git(ancestry, cwd=job.folder, environment=clean_environment(isolated=True) | _repository(job))
    except GitFailed:
        return False
    return True


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
    remote.lfs("push", remote.target.url, job.commit, cwd=job.folder, total=sum(size for _, size in objects), **_repository(job))
    if local is None:
        return
    _local.separate(local, job.folder, run)
    if lacking := _local.missing(local, objects):
        raise RemoteError(f"{remote.target.page}: Git LFS did not store {', '.join(lacking)}", "run again")


def push_refs(job: PublishInput, remote: Remote, refspecs: list[str], run: Run) -> None:
    push = ("push", "--quiet", "--no-verify")
    place: dict[str, Any] = {"cwd": job.folder, **_repository(job)}
    try:
        remote.git(*push, "--atomic", remote.target.url, *refspecs, **place)
    except HubkitError as error:
        if "does not support --atomic" not in error.message:
            raise
        run.note(f"{remote.target.page} has no atomic push: branch and tag go in one ordinary push")
        remote.git(*push, remote.target.url, *refspecs, **place)
