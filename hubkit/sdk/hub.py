"""Hub: puts a release where people download models, and reads it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from .family import Problem
from .run import Run
from .transfer import Pace


@dataclass(frozen=True)
class ReleaseFile:
    """`path` is POSIX and relative to the release folder; `lfs` says whether Git LFS keeps it."""

    path: str
    size: int
    sha256: str
    lfs: bool


@dataclass(frozen=True)
class PublishInput:
    """`folder` holds `files` and a git repository (`folder/.git`) whose `commit` and `tag` hold
    exactly them, the large ones as LFS pointers with the objects in place. `target` is what follows
    the hub's scheme in `--to`. Each remote step is noted in `journal` before and after it (see
    `hubkit.sdk.journal`); None keeps none."""

    folder: Path
    files: tuple[ReleaseFile, ...]
    commit: str
    tag: str
    message: str
    target: str
    options: Mapping[str, Any]
    journal: Path | None = None
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True)
class PublishReceipt:
    """`revision` identifies what was published for good (a commit id); `url` is for people."""

    hub: str
    target: str
    repository: str
    revision: str
    tag: str
    url: str


@dataclass(frozen=True)
class RemoteFile:
    """`sha256` is of the file's content, also where the hub stores a pointer; empty when the hub
    cannot say without a download."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Login:
    """Who one is at a hub. `source` says where the credentials come from, never what they are;
    `remedy` is empty when `ok`. unknown: there are credentials, and nobody said whether they are
    accepted."""

    state: Literal["ok", "none", "rejected", "unknown"]
    user: str
    source: str
    remedy: str


@dataclass(frozen=True)
class Withdrawal:
    """What undoing a release changed, and what of it the public can still get, each as a
    sentence."""

    done: tuple[str, ...]
    remains: tuple[str, ...]


class DownloadableHub(Protocol):
    """What a hub may have beside the methods of Hub: how people get what it has."""

    title: ClassVar[str]
    """Its name, for people."""

    def download_command(self, target: str, options: Mapping[str, Any]) -> str:
        """One line of shell that downloads the repository of `target` into a folder of the
        repository's name without its organisation; empty where nobody else could run it, such as
        for a path of this machine."""

    def page(self, target: str, options: Mapping[str, Any]) -> str:
        """Optional, from SDK 1.5 on: where people read about the repository of `target`; empty
        where there is no such page."""


class Hub(Protocol):
    kind: ClassVar[str]  # "hub"
    name: ClassVar[str]
    sdk: ClassVar[str]
    schemes: ClassVar[tuple[str, ...]]
    """What may stand before the colon in `--to SCHEME:TARGET`."""
    Options: ClassVar[type]

    def repository(self, target: str) -> str:
        """The repository's name as people will see it (`organisation/name` or `name`).

        Raises:
            UsageError: the target is not one this hub understands.
        """

    def check(self, target: str, options: Mapping[str, Any]) -> tuple[Problem, ...]:
        """What would stop a publish now: tools, login, permission to write. Changes nothing
        remotely."""

    def login(self, options: Mapping[str, Any]) -> Login:
        """Who one is there, and where the credentials come from. Changes nothing."""

    def publish(self, job: PublishInput, run: Run) -> PublishReceipt:
        """Safe to repeat: what is there already is not sent again, and the same release is not
        published twice.

        Raises:
            RefusedError: the repository holds another release under this tag, or history that this
                release lacks.
            RemoteError: the hub failed; running again continues.
        """

    def files(
        self, target: str, revision: str, options: Mapping[str, Any], run: Run
    ) -> tuple[RemoteFile, ...]:
        """What the hub has at `revision` (commit, tag or branch; empty: the default branch); large
        files are not downloaded."""

    def download(
        self, target: str, revision: str, out: Path, options: Mapping[str, Any], run: Run
    ) -> None:
        """A fresh download of everything at `revision` into `out`, which does not exist yet, as a
        user would make it."""

    def withdraw(
        self, target: str, receipt: PublishReceipt, options: Mapping[str, Any], run: Run
    ) -> Withdrawal:
        """Undoes a release as far as the hub goes: its tag, then its commit or its visibility. Safe
        to repeat.

        Raises:
            RemoteError: the hub failed; running again continues.
        """


class LocatingHub(Hub, Protocol):
    """A hub that says more of where a release goes; both methods are optional for hubs."""

    def address(self, target: str) -> str:
        """One text for all spellings of a place: a relative path and its absolute one."""

    def branch(self, options: Mapping[str, Any]) -> str:
        """The branch that shows what is published with these options; empty when none does, as for
        a pull request."""


class ExaminingHub(Hub, Protocol):
    """A hub that is asked about a release before anything goes to any hub; `examine` is optional
    for hubs, and `check` is asked without it."""

    def examine(self, job: PublishInput, run: Run) -> None:
        """Changes nothing remotely. Returns when `publish` would be let in and its release taken.

        Raises:
            RefusedError: the hub would refuse the release: its card, its tag, or what is there.
            EnvironmentFailure: tools, login or permission are not up to it.
            RemoteError: the hub does not answer.
        """
