"""ModelScopeHub: a release as one commit and one tag of a model repository."""

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

if TYPE_CHECKING:
    from .session import Session


class ModelScopeHub(ApiHub[Settings, "Session"]):
    """Publishes to modelscope.cn or an own server: `modelscope:organisation/name` or
    `ms:organisation/name`. A repository that is not there is made, private unless told otherwise,
    under the card's licence."""

    name: ClassVar[str] = "modelscope"
    title: ClassVar[str] = "ModelScope"
    sdk: ClassVar[str] = "1.2"
    schemes: ClassVar[tuple[str, ...]] = ("modelscope", "ms")
    Options: ClassVar[type] = Settings

    def repository(self, target: str) -> str:
        return repository(target)

    def shown_on(self, options: Settings) -> str:
        return options.branch

    def download_command(self, target: str, options: Mapping[str, Any]) -> str:
        endpoint = options.get("endpoint")
        at, name = repository(target), repository(target).rpartition("/")[2]
        where = f"MODELSCOPE_ENDPOINT={shlex.quote(endpoint)} " if endpoint else ""
        return f"{where}modelscope download {at} --local-dir {name}"

    def page(self, target: str, options: Mapping[str, Any]) -> str:
        endpoint = options.get("endpoint") or "https://modelscope.cn"
        return f"{endpoint}/models/{repository(target)}"

    def opened(
        self, repository: str, options: Settings, run: Run, journal: Journal, *, anonymous: bool
    ) -> AbstractContextManager[Session]:
        from .session import opened

        return opened(repository, options, run, journal, anonymous=anonymous)

    def user(self, session: Session) -> str:
        return str(session.api.whoami().username)

    def unfit(self, session: Session) -> tuple[Problem, ...]:
        session.api.whoami()
        return ()

    def foresee(self, session: Session, job: PublishInput) -> None:
        from .publish import foresee

        foresee(session, job)

    def send(self, session: Session, job: PublishInput) -> tuple[str, str]:
        from .publish import publish

        return publish(session, job), session.place

    def listed(self, session: Session, revision: str) -> tuple[RemoteFile, ...]:
        from .read import files

        return files(session, revision)

    def fetch(self, session: Session, revision: str, out: Path) -> None:
        from .read import download

        download(session, revision, out)

    def undo(self, session: Session, receipt: PublishReceipt) -> Withdrawal:
        from .withdraw import withdraw

        return withdraw(session, receipt)
