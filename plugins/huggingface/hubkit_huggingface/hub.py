"""HuggingFaceHub: a release as one commit and one tag of a model repository."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hubkit.sdk import Journal, Problem, PublishInput, PublishReceipt, RemoteFile, Run, Withdrawal
from hubkit.sdk.hubs import ApiHub

from .options import Options as Settings
from .options import repository
from .token import LOG_IN

if TYPE_CHECKING:
    from .session import Session


class HuggingFaceHub(ApiHub[Settings, "Session"]):
    """Publishes to huggingface.co, a mirror or an own server: `huggingface:organisation/name` or
    `hf:organisation/name`. A repository that is not there is made, private unless told otherwise.
    """

    name: ClassVar[str] = "huggingface"
    title: ClassVar[str] = "Hugging Face"
    sdk: ClassVar[str] = "1.2"
    schemes: ClassVar[tuple[str, ...]] = ("huggingface", "hf")
    Options: ClassVar[type] = Settings

    def repository(self, target: str) -> str:
        return repository(target)

    def shown_on(self, options: Settings) -> str:
        return "" if options.pull_request else options.branch

    def download_command(self, target: str, options: Mapping[str, Any]) -> str:
        endpoint = options.get("endpoint")
        at, name = repository(target), repository(target).rpartition("/")[2]
        where = f"HF_ENDPOINT={shlex.quote(endpoint)} " if endpoint else ""
        return f"{where}hf download {at} --local-dir {name}"

    def page(self, target: str, options: Mapping[str, Any]) -> str:
        return f"{options.get('endpoint') or 'https://huggingface.co'}/{repository(target)}"

    def opened(
        self, repository: str, options: Settings, run: Run, journal: Journal, *, anonymous: bool
    ) -> AbstractContextManager[Session]:
        from .session import opened

        return opened(repository, options, run, journal, anonymous=anonymous)

    def user(self, session: Session) -> str:
        return str(session.api.whoami()["name"])

    def unfit(self, session: Session) -> tuple[Problem, ...]:
        return _may_write(session.api.whoami(), session.repository, session.token.source)

    def foresee(self, session: Session, job: PublishInput) -> None:
        from .publish import foresee

        foresee(session, job)

    def send(self, session: Session, job: PublishInput) -> tuple[str, str]:
        from .publish import publish

        landed = publish(session, job)
        page = f"discussions/{landed.pull_request}" if landed.pull_request else f"tree/{job.tag}"
        return landed.commit, f"{session.place}/{page}"

    def listed(self, session: Session, revision: str) -> tuple[RemoteFile, ...]:
        from .read import files

        return files(session, revision)

    def fetch(self, session: Session, revision: str, out: Path) -> None:
        from .read import download

        download(session, revision, out)

    def undo(self, session: Session, receipt: PublishReceipt) -> Withdrawal:
        from .withdraw import withdraw

        return withdraw(session, receipt)


def _may_write(user: Mapping[str, Any], name: str, source: str) -> tuple[Problem, ...]:
    """From `whoami`: whether this user may write below the namespace, with this token.

    `anyNamespace` is the rehearsal hub's: there, organisations are not made before their
    repositories.
    """
    namespace = name.partition("/")[0]
    roles = {org.get("name"): org.get("roleInOrg", "") for org in user.get("orgs", ())}
    if namespace != user.get("name") and namespace not in roles and not user.get("anyNamespace"):
        message = f"{user.get('name')} (token from {source}) is no member of {namespace}"
        return (
            Problem(
                name,
                message,
                f"join {namespace}, publish to {user.get('name')}/..., or use another token",
            ),
        )
    role = (user.get("auth") or {}).get("accessToken", {}).get("role", "")
    if role == "read" or roles.get(namespace) == "read":
        return (Problem(name, f"the token from {source} may only read", LOG_IN),)
    return ()
