"""ApiHub: what is the same in every hub that is spoken to through an official client."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from ..codec import decode
from ..errors import EnvironmentFailure, HubkitError, RemoteError
from ..family import Problem
from ..hub import Login, PublishInput, PublishReceipt, RemoteFile, Withdrawal
from ..journal import Journal
from ..run import Run, SilentRun
from ..text import one_line
from .options import ApiOptions
from .session import ApiSession

_QUICK = 5
"""Seconds for an answer to who is logged in."""
O = TypeVar("O", bound=ApiOptions)  # noqa: E741
S = TypeVar("S", bound=ApiSession)


class ApiHub(ABC, Generic[O, S]):
    """A plugin says how its client is opened and what it does with one repository; options,
    journal, login and receipts are here.

    `opened` may be given "" for the repository, when only the login is asked for. Modules that
    import the client are imported in methods, so that the plugin loads without it."""

    kind: ClassVar[str] = "hub"
    name: ClassVar[str]
    Options: ClassVar[type]

    @abstractmethod
    def repository(self, target: str) -> str: ...

    @abstractmethod
    def opened(
        self, repository: str, options: O, run: Run, journal: Journal, *, anonymous: bool
    ) -> AbstractContextManager[S]:
        """The repository, ready to be worked with; without a token only when `anonymous`."""

    @abstractmethod
    def user(self, session: S) -> str:
        """The name of who is logged in."""

    @abstractmethod
    def unfit(self, session: S) -> tuple[Problem, ...]:
        """Why one may not publish to this repository; a wrong token is raised."""

    @abstractmethod
    def send(self, session: S, job: PublishInput) -> tuple[str, str]:
        """Publishes; the commit at the hub and the page to look at."""

    def foresee(self, session: S, job: PublishInput) -> None:
        """Raises what would stop `send`; changes nothing."""
        return None

    @abstractmethod
    def listed(self, session: S, revision: str) -> tuple[RemoteFile, ...]:
        """As `Hub.files`."""

    @abstractmethod
    def fetch(self, session: S, revision: str, out: Path) -> None:
        """As `Hub.download`."""

    @abstractmethod
    def undo(self, session: S, receipt: PublishReceipt) -> Withdrawal:
        """As `Hub.withdraw`."""

    def address(self, target: str) -> str:
        return self.repository(target)

    def branch(self, options: Mapping[str, Any]) -> str:
        return self.shown_on(self._settings(options))

    def shown_on(self, options: O) -> str:
        """As `LocatingHub.branch`."""
        return ""

    def check(self, target: str, options: Mapping[str, Any]) -> tuple[Problem, ...]:
        name, opening = (
            self.repository(target),
            self._open(self.repository(target), options, SilentRun()),
        )
        try:
            with opening as session:
                return self.unfit(session)
        except HubkitError as error:
            return (Problem(name, error.message, error.remedy),)

    def login(self, options: Mapping[str, Any]) -> Login:
        quick = {"timeout": _QUICK, "patience": 0} | dict(options)
        source = ""
        try:
            with self._open("", quick, SilentRun(), anonymous=True) as session:
                source = session.token.source
                if not session.token.value:
                    return Login("none", "", source, session.log_in)
                return Login("ok", one_line(self.user(session), 100), source, "")
        except EnvironmentFailure as error:
            return Login("rejected", "", error.message, error.remedy)
        except RemoteError as error:
            return Login("unknown", "", source or error.message, f"{error.message}; {error.remedy}")

    def examine(self, job: PublishInput, run: Run) -> None:
        with self._open(self.repository(job.target), job.options, run) as session:
            if found := self.unfit(session):
                told = "; ".join(problem.message for problem in found)
                raise EnvironmentFailure(f"{session.place}: {told}", found[0].remedy)
            self.foresee(session, job)

    def publish(self, job: PublishInput, run: Run) -> PublishReceipt:
        name = self.repository(job.target)
        with self._open(
            name, job.options, run, Journal(job.journal, self.name, job.target)
        ) as session:
            revision, page = self.send(session, job)
        return PublishReceipt(self.name, job.target, name, revision, job.tag, page)

    def files(
        self, target: str, revision: str, options: Mapping[str, Any], run: Run
    ) -> tuple[RemoteFile, ...]:
        with self._open(self.repository(target), options, run, anonymous=True) as session:
            return self.listed(session, revision)

    def download(
        self, target: str, revision: str, out: Path, options: Mapping[str, Any], run: Run
    ) -> None:
        with self._open(self.repository(target), options, run, anonymous=True) as session:
            self.fetch(session, revision, out)

    def withdraw(
        self, target: str, receipt: PublishReceipt, options: Mapping[str, Any], run: Run
    ) -> Withdrawal:
        with self._open(self.repository(target), options, run) as session:
            return self.undo(session, receipt)

    def _open(
        self,
        repository: str,
        options: Mapping[str, Any],
        run: Run,
        journal: Journal | None = None,
        *,
        anonymous: bool = False,
    ) -> AbstractContextManager[S]:
        return self.opened(
            repository,
            self._settings(options),
            run,
            journal or Journal(None, self.name, repository),
            anonymous=anonymous,
        )

    def _settings(self, options: Mapping[str, Any]) -> O:
        settings: O = decode(self.Options, dict(options), f"options of the hub {self.name}")
        return settings
