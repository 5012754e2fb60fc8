"""ModelScopeHub: a release as one commit and one tag of a model repository."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hubkit.sdk import (
    EnvironmentFailure,
    HubkitError,
    Journal,
    Login,
    Problem,
    PublishInput,
    PublishReceipt,
    RemoteFile,
    Run,
    SilentRun,
    Withdrawal,
)

from .options import Options, parse, repository
from .token import LOG_IN


class ModelScopeHub:
    """Publishes to modelscope.cn or an own server: `modelscope:organisation/name` or `ms:organisation/name`. A repository that is
    not there is made, private unless told otherwise, under the card's licence."""

    kind: ClassVar[str] = "hub"
    name: ClassVar[str] = "modelscope"
    sdk: ClassVar[str] = "1.0"
    schemes: ClassVar[tuple[str, ...]] = ("modelscope", "ms")
    Options: ClassVar[type] = Options

    def repository(self, target: str) -> str:
        return repository(target)

    def check(self, target: str, options: Mapping[str, Any]) -> tuple[Problem, ...]:
        from .session import opened

        name, settings = repository(target), parse(options)
        try:
            with opened(name, settings, SilentRun()) as session:
                session.api.whoami()
        except HubkitError as error:
            return (Problem(name, error.message, error.remedy),)
        return ()

    def login(self, options: Mapping[str, Any]) -> Login:
        from .session import opened

        settings = parse(options)
        try:
            with opened("", settings, SilentRun(), anonymous=True) as session:
                if not session.token.value:
                    return Login("none", "", session.token.source, LOG_IN)
                return Login("ok", str(session.api.whoami().username), session.token.source, "")
        except EnvironmentFailure as error:
            return Login("rejected", "", error.message, error.remedy)

    def publish(self, job: PublishInput, run: Run) -> PublishReceipt:
        from .publish import publish
        from .session import opened

        name = repository(job.target)
        with opened(name, parse(job.options), run, Journal(job.journal, self.name, job.target)) as session:
            revision = publish(session, job)
            return PublishReceipt(self.name, job.target, name, revision, job.tag, session.place)

    def files(self, target: str, revision: str, options: Mapping[str, Any], run: Run) -> tuple[RemoteFile, ...]:
        from .read import files
        from .session import opened

        with opened(repository(target), parse(options), run, anonymous=True) as session:
            return files(session, revision)

    def download(self, target: str, revision: str, out: Path, options: Mapping[str, Any], run: Run) -> None:
        from .read import download
        from .session import opened

        with opened(repository(target), parse(options), run, anonymous=True) as session:
            download(session, revision, out)

    def withdraw(self, target: str, receipt: PublishReceipt, options: Mapping[str, Any], run: Run) -> Withdrawal:
        from .session import opened
        from .withdraw import withdraw

        with opened(repository(target), parse(options), run) as session:
            return withdraw(session, receipt)
