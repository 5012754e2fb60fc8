"""Undoing a release as far as ModelScope's API goes, and saying what it cannot undo."""

from __future__ import annotations

from hubkit.sdk import PublishReceipt, Withdrawal
from hubkit.sdk.hubs import MANIFEST

from .publish import deletion
from .session import MODEL, Session


def withdraw(session: Session, receipt: PublishReceipt) -> Withdrawal:
    info, branch = session.info(), session.options.branch
    if info is None:
        return Withdrawal((), ())
    done = []
    listed = session.listing(branch)
    ours = MANIFEST in listed and listed[MANIFEST].revision in (receipt.revision, "")
    if session.options.undo == "empty" and ours:
        actions = [deletion(path) for path in sorted(listed)]

        def act() -> None:
            session.api.legacy.create_commit(
                session.repository, MODEL, actions, f"Withdraw {receipt.tag}", revision=branch
            )

        session.change(
            "delete files",
            act,
            lambda: True if not session.listing(branch) else None,
            files=len(actions),
        )
        done.append(f"{branch} is empty: {len(actions)} files are deleted from it")
    if info.get("Visibility") != 5:
        return Withdrawal(tuple(done), ())
    remains = []
    if receipt.tag in session.tags():
        remains.append(
            f"the tag {receipt.tag} still serves every file of the release: "
            f"{session.place}/files?version={receipt.tag}"
        )
    if not done and listed:
        remains.append(f"{branch} still holds {len(listed)} files")
    remains.append(
        "the repository is public and its history is kept: make it private or delete it at "
        f"{session.place}/settings"
    )
    return Withdrawal(tuple(done), tuple(remains))
