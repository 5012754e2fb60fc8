"""GitLfsHub: a release as one commit and one tag of a git repository, its large files in Git LFS."""

from __future__ import annotations

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
    UsageError,
    Withdrawal,
)
from hubkit.sdk.codec import decode
from hubkit.sdk.gitcli import require_git_lfs

from . import _local, _push, _read, _withdraw
from ._login import login, source
from ._remote import Remote
from ._target import Target, parse


@dataclass(frozen=True)
class Options:
    """`token_env` names the environment variable with a token for https; without it, git's credential helpers and SSH keys
    log in. `username` goes with the token. `patience` is in seconds without progress."""

    branch: str = "main"
    token_env: str = ""
    username: str = "oauth2"
    patience: float = 600.0


class GitLfsHub:
    """Publishes to any git remote with Git LFS: `git:https://host/org/name.git`, `git:git@host:org/name.git`,
    `git:/path/name.git`. A local repository that does not exist is made."""

    kind: ClassVar[str] = "hub"
    name: ClassVar[str] = "git_lfs"
    sdk: ClassVar[str] = "1.0"
    schemes: ClassVar[tuple[str, ...]] = ("git",)
    Options: ClassVar[type] = Options

    def repository(self, target: str) -> str:
        return parse(target).repository

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

    def publish(self, job: PublishInput, run: Run) -> PublishReceipt:
        """LFS objects first, then branch and tag in one atomic push, then the refs are read back."""
        where, settings = parse(job.target), _options(job.options)
        journal = Journal(job.journal, self.name, where.page)
        require_git_lfs()
        with _opened(where, settings, run) as remote:
            if where.local is not None:
                _local.prepare(where.local, settings.branch)
            wanted = _push.refs_to_push(job, settings.branch, remote.refs(), where)
            if wanted or not _push.has_objects(job, where):
                with journal.step("upload", files=[file.path for file in job.files if file.lfs]):
                    _push.push_objects(job, remote, run)
            if wanted:
                with journal.step("push", commit=job.commit, refs=wanted):
                    _push.push_refs(job, remote, wanted, run)
                if left := _push.refs_to_push(job, settings.branch, remote.refs(), where):
                    raise RemoteError(f"{where.page} took the push and does not show {', '.join(left)}", "run again")
        return PublishReceipt(self.name, job.target, where.repository, job.commit, job.tag, where.page)

    def login(self, options: Mapping[str, Any]) -> Login:
        return source(_options(options).token_env)

    def withdraw(self, target: str, receipt: PublishReceipt, options: Mapping[str, Any], run: Run) -> Withdrawal:
        settings = _options(options)
        with _opened(parse(target), settings, run) as remote:
            return _withdraw.withdraw(remote, receipt, settings.branch)

    def files(self, target: str, revision: str, options: Mapping[str, Any], run: Run) -> tuple[RemoteFile, ...]:
        with _opened(parse(target), _options(options), run) as remote:
            return _read.files(remote, revision, run)

    def download(self, target: str, revision: str, out: Path, options: Mapping[str, Any], run: Run) -> None:
        require_git_lfs()
        with _opened(parse(target), _options(options), run) as remote:
            _read.download(remote, revision, out, run)


def _options(options: Mapping[str, Any]) -> Options:
    settings = decode(Options, dict(options), "options of the hub git_lfs")
    if settings.patience <= 0:
        raise UsageError(f"options of the hub git_lfs: patience {settings.patience} is not positive", "give seconds, such as 600")
    return settings


@contextmanager
def _opened(target: Target, options: Options, run: Run) -> Iterator[Remote]:
    with login(target, options.token_env, options.username) as logged_in:
        yield Remote(target, run, logged_in, options.patience)
