"""GitLfsHub: a release as one commit and one tag of a git repository, its large files in Git
LFS."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from hubkit.sdk import (
    EnvironmentFailure,
    Journal,
    Login,
    Problem,
    PublishInput,
    PublishReceipt,
    RefusedError,
    RemoteError,
    RemoteFile,
    Run,
    SilentRun,
    Withdrawal,
)
from hubkit.sdk.codec import decode
from hubkit.sdk.gitcli import require_git_lfs
from hubkit.sdk.hubs import check_token_options

from . import _head, _local, _push, _read, _withdraw
from ._history import History
from ._login import login, source
from ._remote import Remote
from ._target import Target, parse


@dataclass(frozen=True)
class Options:
    """The variable `token_env` or the file `token_file` holds a token for https; without one, git's
    credential helpers and SSH keys log in. `username` goes with the token. `replace` allows a
    release on top of files that are no release. `patience` is how many seconds may pass without
    progress, and may be spent on waiting before commands are repeated."""

    branch: str = "main"
    replace: bool = False
    token_env: str = ""
    token_file: str = ""
    username: str = "oauth2"
    patience: float = 600.0

    def __post_init__(self) -> None:
        check_token_options(self.token_env, self.token_file)
        if self.patience <= 0:
            raise ValueError(f"patience {self.patience} is not positive")


class GitLfsHub:
    """Publishes to any git remote with Git LFS: `git:https://host/org/name.git`,
    `git:git@host:org/name.git`, `git:/path/name.git`. A local repository that does not exist is
    made."""

    kind: ClassVar[str] = "hub"
    name: ClassVar[str] = "git_lfs"
    title: ClassVar[str] = "git"
    sdk: ClassVar[str] = "1.0"
    schemes: ClassVar[tuple[str, ...]] = ("git",)
    Options: ClassVar[type] = Options

    def repository(self, target: str) -> str:
        return parse(target).repository

    def address(self, target: str) -> str:
        return parse(target).url

    def branch(self, options: Mapping[str, Any]) -> str:
        return _options(options).branch

    def download_command(self, target: str, options: Mapping[str, Any]) -> str:
        where = parse(target)
        name = where.repository.rpartition("/")[2]
        return "" if where.local is not None else f"git clone {shlex.quote(target)} {name}"

    def check(self, target: str, options: Mapping[str, Any]) -> tuple[Problem, ...]:
        where, settings = parse(target), _options(options)
        try:
            require_git_lfs()
            if where.local is not None:
                return _local.problems(where.local)
            with _opened(where, settings, SilentRun()) as remote:
                _push.try_push(remote, settings.branch)
        except (EnvironmentFailure, RemoteError, RefusedError) as error:
            return (Problem(where.page, error.message, error.remedy),)
        return ()

    def examine(self, job: PublishInput, run: Run) -> None:
        where, settings = parse(job.target), _options(job.options)
        require_git_lfs()
        if where.local is not None:
            _local.refuse_unfit(where.local)
            if not where.local.exists() or _local.is_empty(where.local):
                return
        with (
            _opened(where, settings, run) as remote,
            History(job, remote, settings.branch, replace=settings.replace) as history,
        ):
            if where.local is None:
                _push.try_push(remote, settings.branch)
            history.place(remote.refs())

    def publish(self, job: PublishInput, run: Run) -> PublishReceipt:
        """LFS objects first, then branch and tag in one atomic push, then the refs are read
        back."""
        where, settings = parse(job.target), _options(job.options)
        journal = Journal(job.journal, self.name, where.page)
        require_git_lfs()
        if job.pace.bytes_per_second:
            run.note(
                f"{where.page}: Git LFS has no limit of bandwidth; it is held over the other hubs "
                "only"
            )
        with (
            _opened(where, settings, run) as remote,
            History(job, remote, settings.branch, replace=settings.replace) as history,
        ):
            if where.local is not None:
                _local.prepare(where.local, settings.branch)
            place = history.place(remote.refs())
            if place.refspecs or not _push.has_objects(job, where):
                with journal.step("upload", files=[file.path for file in job.files if file.lfs]):
                    _push.push_objects(job, remote, run)
            if place.refspecs:
                with journal.step("push", commit=place.commit, refs=place.refspecs):
                    _push.push_refs(place, remote, run)
                if left := history.place(remote.refs()).refspecs:
                    raise RemoteError(
                        f"{where.page} took the push and does not show {', '.join(left)}",
                        "run again",
                    )
            if place.refspecs or where.local is not None:
                _head.settle(remote, settings.branch, run)
        return PublishReceipt(
            self.name, job.target, where.repository, place.commit, job.tag, where.page
        )

    def login(self, options: Mapping[str, Any]) -> Login:
        settings = _options(options)
        return source(settings.token_env, settings.token_file)

    def withdraw(
        self, target: str, receipt: PublishReceipt, options: Mapping[str, Any], run: Run
    ) -> Withdrawal:
        settings = _options(options)
        with _opened(parse(target), settings, run) as remote:
            return _withdraw.withdraw(remote, receipt, settings.branch)

    def files(
        self, target: str, revision: str, options: Mapping[str, Any], run: Run
    ) -> tuple[RemoteFile, ...]:
        with _opened(parse(target), _options(options), run) as remote:
            return _read.files(remote, revision, run)

    def download(
        self, target: str, revision: str, out: Path, options: Mapping[str, Any], run: Run
    ) -> None:
        require_git_lfs()
        with _opened(parse(target), _options(options), run) as remote:
            _read.download(remote, revision, out, run)


def _options(options: Mapping[str, Any]) -> Options:
    return decode(Options, dict(options), "options of the hub git_lfs")


@contextmanager
def _opened(target: Target, options: Options, run: Run) -> Iterator[Remote]:
    with login(target, options.token_env, options.token_file, options.username) as logged_in:
        yield Remote(target, run, logged_in, options.patience)
