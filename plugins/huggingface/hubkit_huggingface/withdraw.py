"""Undoing a release: its tag, and then its commit, its visibility, or the repository. What stays
public is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubkit.sdk import PublishReceipt, Withdrawal

from .publish import WITHDRAW
from .session import Session


def withdraw(session: Session, receipt: PublishReceipt) -> Withdrawal:
    done: list[str] = []
    info = session.info()
    if info is None:
        return Withdrawal((), ())
    tagged = session.info(receipt.tag)
    if tagged is not None and tagged.sha == receipt.revision:
        session.change(
            "delete tag",
            lambda: session.api.delete_tag(session.repository, tag=receipt.tag) or True,
            lambda: True if session.info(receipt.tag) is None else None,
            tag=receipt.tag,
        )
        done.append(f"the tag {receipt.tag} is deleted")
    if session.options.undo == "delete":
        session.change(
            "delete repository",
            lambda: session.api.delete_repo(session.repository) or True,
            lambda: True if session.info() is None else None,
        )
        return Withdrawal((*done, f"the repository {session.place} is deleted"), ())
    if session.options.undo == "private":
        session.change(
            "make private",
            lambda: session.api.update_repo_settings(session.repository, private=True) or True,
            _never,
        )
        done.append(f"the repository {session.place} is private")
    else:
        done += _revert(session, receipt)
    now = session.info()
    return Withdrawal(tuple(done), () if now is None or now.private else _remains(session, receipt))


def _never() -> None:
    return None


def _revert(session: Session, receipt: PublishReceipt) -> list[str]:
    """A new commit with the files as they were before the release; nothing when others build on it
    already."""
    from huggingface_hub import CommitOperationCopy, CommitOperationDelete

    branch = session.options.branch
    commits = [
        commit.commit_id
        for commit in session.api.list_repo_commits(session.repository, revision=branch)
    ]
    if len(commits) < 2 or commits[0] != receipt.revision:
        return []
    ours, before = session.tree(commits[0]), session.tree(commits[1])
    back = [
        path
        for path, entry in before.items()
        if path not in ours or ours[path].blob_id != entry.blob_id
    ]
    operations = [
        *(CommitOperationCopy(path, path, src_revision=commits[1]) for path in back),
        *(
            CommitOperationDelete(path, is_folder=False)
            for path in sorted(ours.keys() - before.keys())
        ),
    ]

    def act() -> str:
        message = WITHDRAW.format(tag=receipt.tag)
        made = session.api.create_commit(
            session.repository,
            operations,
            commit_message=message,
            revision=branch,
            parent_commit=commits[0],
        )
        return str(made.oid)

    def landed() -> str | None:
        head = session.info(branch)
        return (
            str(head.sha)
            if head is not None and _blobs(session.tree(head.sha)) == _blobs(before)
            else None
        )

    commit = session.change("revert commit", act, landed, of=receipt.revision)
    return [f"{branch} is as it was before the release (commit {commit})"]


def _blobs(tree: Mapping[str, Any]) -> dict[str, str]:
    return {path: entry.blob_id for path, entry in tree.items()}


def _remains(session: Session, receipt: PublishReceipt) -> tuple[str, ...]:
    page = f"{session.place}/tree/{receipt.revision}"
    remains = [
        (
            f"the release's commit {receipt.revision} is in the public history and can be fetched "
            f"by its id: {page}"
        )
    ]
    head = session.info(session.options.branch)
    if head is not None and head.sha == receipt.revision:
        remains.append(
            f"{session.options.branch} still shows the release: there is nothing before it to go "
            "back to"
        )
    remains.append(
        "copies that others made; to hide the rest, withdraw with the option undo: private or "
        "undo: delete"
    )
    return tuple(remains)
