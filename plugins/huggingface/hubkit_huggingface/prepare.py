"""The repository and the branch of a release, made where they are not there and read back."""

from __future__ import annotations

from typing import Any

from hubkit.sdk.hubs import refuse_public, refuse_unlike

from .session import Session


def prepare(session: Session) -> str:
    """The head of the branch, after making repository and branch where they are not there."""
    options = session.options
    info = session.info()
    if info is None:
        info = _create(session)
    else:
        judge_visibility(session, info)
    if options.branch == "main":
        return str(info.sha)
    branch = session.info(options.branch)
    if branch is None:

        def grow() -> None:
            session.api.create_branch(session.repository, branch=options.branch, exist_ok=True)

        branch = session.change(
            "create branch", grow, lambda: session.info(options.branch), branch=options.branch
        )
    return str(branch.sha)


def _create(session: Session) -> Any:
    """The repository, made and read back as it was asked for."""
    made = []

    def make() -> None:
        session.api.create_repo(session.repository, private=session.options.private)
        made.append(True)

    def undo() -> None:
        session.change(
            "delete repository",
            lambda: session.api.delete_repo(session.repository) or True,
            lambda: True if session.info() is None else None,
        )

    def born() -> Any:
        """None until it has its first commit, too: it may be seen before it is whole."""
        found = session.info()
        return found if found is not None and found.sha else None

    private = session.options.private
    info = session.change("create repository", make, born, private=private)
    refuse_unlike(
        session.place,
        {"visibility": _visibility(private), "name": session.repository, "gating": "none"},
        {
            "visibility": _visibility(info.private),
            "name": session.token.hide(str(info.id)),
            "gating": str(info.gated or "none"),
        },
        undo if made else None,
    )
    return info


def _visibility(private: object) -> str:
    return "private" if private else "public"


def judge_visibility(session: Session, info: Any) -> None:
    """
    Raises:
        RefusedError: a release that was to be private would be the first in a public repository.
    """
    if session.options.private and not info.private:
        refuse_public(session.place, session.tree(info.sha) if info.sha else ())
        session.run.note(
            f"{session.place} is public: what is published there can be seen by everybody"
        )
