"""Undoing a release: its tag deleted, and a commit on top with the files as they were before.
History is never rewritten."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hubkit.sdk import PublishReceipt, Withdrawal
from hubkit.sdk.gitcli import GitFailed, clean_environment, run_git

from ._remote import Remote


def withdraw(remote: Remote, receipt: PublishReceipt, branch: str) -> Withdrawal:
    refs, url, page = remote.refs(), remote.target.url, remote.target.page
    tag, head = f"refs/tags/{receipt.tag}", f"refs/heads/{branch}"
    done, remains = [], []
    with tempfile.TemporaryDirectory(prefix="hubkit-git-") as temporary:
        folder = Path(temporary)
        run_git(
            ["init", "--quiet", "--bare", "--template="],
            cwd=folder,
            environment=clean_environment(isolated=True),
        )
        if refs.get(tag) == receipt.revision:
            remote.push(url, f":{tag}", folder=folder)
            done.append(f"the tag {receipt.tag} is deleted")
        if refs.get(head) == receipt.revision:
            remote.git(
                "fetch",
                "--quiet",
                "--no-tags",
                "--depth=2",
                url,
                receipt.revision,
                cwd=folder,
                GIT_DIR=temporary,
            )
            if revert := _revert(folder, receipt):
                remote.push(url, f"{revert}:{head}", folder=folder)
                done.append(f"{branch} is as it was before the release (commit {revert})")
            else:
                remains.append(
                    f"{branch} of {page} still holds the release: nothing is before it; delete the "
                    "repository there"
                )
    if receipt.revision in refs.values() or done:
        remains.append(
            f"commit {receipt.revision} and its Git LFS objects can still be fetched from {page} "
            "by their ids"
        )
    return Withdrawal(tuple(done), tuple(remains))


def _revert(folder: Path, receipt: PublishReceipt) -> str:
    """A commit on top of the release with its parent's files; empty when it has no parent."""
    who = {
        f"GIT_{role}_{key}": "hubkit"
        for role in ("AUTHOR", "COMMITTER")
        for key in ("NAME", "EMAIL")
    }
    environment = clean_environment(isolated=True, GIT_DIR=str(folder), **who)
    try:
        tree = run_git(
            ["rev-parse", "--verify", f"{receipt.revision}~1^{{tree}}"],
            cwd=folder,
            environment=environment,
        ).strip()
    except GitFailed:
        return ""
    commit = ["commit-tree", tree, "-p", receipt.revision, "-m", f"Withdraw {receipt.tag}"]
    return run_git(commit, cwd=folder, environment=environment).strip()
