"""The repository of a release, made where it is not there and read back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk import PublishInput, UsageError
from hubkit.sdk.files import read_text
from hubkit.sdk.hubs import refuse_public, refuse_unlike

from .options import MASTER
from .session import MODEL, Session

_PUBLIC = 5
_VISIBILITY = {1: "private", 3: "internal", _PUBLIC: "public"}


def prepare(session: Session, job: PublishInput) -> None:
    """Makes the repository where it is not there: the client itself would make it public and
    Apache-2.0."""
    options, info = session.options, session.info()
    if info is None:
        _create(session, job)
    else:
        judge_visibility(session, info)
    if options.branch != MASTER and options.branch not in session.branches():
        raise UsageError(
            f"{session.place} has no branch {options.branch}",
            "make it on the repository's page, or leave it out",
        )


def _create(session: Session, job: PublishInput) -> None:
    """ModelScope's API cannot delete what it made."""
    options = session.options
    license = options.license or _license(job.folder / "README.md")
    visibility = "private" if options.private else "public"

    def make() -> None:
        session.api.create_repo(
            session.repository,
            MODEL,
            visibility=visibility,
            license=license,
            chinese_name=options.chinese_name or None,
        )

    info = session.change(
        "create repository", make, session.info, visibility=visibility, license=license
    )
    found = {"visibility": _VISIBILITY.get(int(info.get("Visibility") or 0), "unknown")}
    refuse_unlike(session.place, {"visibility": visibility}, found, None)


def judge_visibility(session: Session, info: Mapping[str, Any]) -> None:
    """
    Raises:
        RefusedError: a release that was to be private would be the first in a public repository.
    """
    if session.options.private and info.get("Visibility") == _PUBLIC:
        refuse_public(session.place, session.listing(MASTER))
        session.run.note(
            f"{session.place} is public: what is published there can be seen by everybody"
        )


def _license(card: Path) -> str:
    """`license:` of the card's YAML, `other` without one."""
    text = read_text(card) if card.is_file() else ""
    head = text.split("\n---", 1)[0] if text.startswith("---") else ""
    found = re.search(r"^license:\s*[\"']?([A-Za-z0-9.+-]+)", head, re.MULTILINE)
    return found[1] if found else "other"
