"""Git commands against one remote, watched and with their failures explained."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk import EnvironmentFailure, RemoteError, Run
from hubkit.sdk.gitcli import LFS_FILTER, GitFailed, run_git
from hubkit.sdk.retry import TRANSIENT, Patience

from ._answers import Answers
from ._explain import explain
from ._login import Login
from ._progress import LfsProgress
from ._target import Target

_CONFIG = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "advice.detachedHead": "false",
    "gc.auto": "0",
    "lfs.locksverify": "false",
    "protocol.version": "2",  # lets a commit be fetched by its id
    "push.gpgSign": "false",
    "push.followTags": "false",
    "push.recurseSubmodules": "no",
    # git before 2.38 does not redact the headers of HTTP/2 in its trace
    "http.version": "HTTP/1.1",
    **{f"filter.lfs.{key}": value for key, value in LFS_FILTER},
}


ATOMIC = "does not support --atomic"
"""What git says of a server without atomic pushes."""


class Remote:
    """`patience` is how many seconds a command may go without progress, and how many may be spent
    on waiting before commands are repeated, after a server was busy or failed. A repeated push
    sends the same commits, hence never twice."""

    def __init__(self, target: Target, run: Run, login: Login, patience: float) -> None:
        self.target, self._run, self._login, self._patience = target, run, login, patience
        self._waiting = Patience(patience, run)
        config = {
            **_CONFIG,
            "http.lowSpeedLimit": "1",
            "http.lowSpeedTime": str(max(1, int(patience))),
        }
        if login.token.value:
            # git hands a password that worked to every credential helper, and `store` writes it to
            # a file
            config["credential.helper"] = ""
        self._config = [word for key, value in config.items() for word in ("-c", f"{key}={value}")]

    def git(self, *arguments: str, cwd: Path, patient: bool = True, **environment: str) -> str:
        """`git ARGUMENTS`; raises what the failure means. With `patient`, tried again after a
        server was busy or failed."""

        def tick() -> bool:
            self._run.check_cancelled()
            return False

        return self._checked(arguments, cwd, environment, tick, patient)

    def push(self, *arguments: str, folder: Path) -> None:
        """`git push ARGUMENTS` from the bare repository `folder`. Some servers take no push from
        one that has a part of the history only (dulwich 1.2 answers 500 to `shallow`): the rest is
        fetched then.
        """
        options: dict[str, Any] = {"cwd": folder, "GIT_DIR": str(folder)}
        push = ("push", "--quiet", "--no-verify", *arguments)
        shallow = (folder / "shallow").is_file()
        try:
            self.git(*push, patient=not shallow, **options)
        except (RemoteError, EnvironmentFailure) as error:
            if not shallow or ATOMIC in error.message:
                raise
            self._run.note(f"{error.message}: fetching all commits, and pushing again")
            fetch = ("fetch", "--quiet", "--no-tags", "--unshallow", self.target.url)
            self.git(*fetch, *_heads(folder), **options)
            self.git(*push, **options)

    def lfs(
        self,
        *arguments: str,
        cwd: Path,
        total: int,
        config: tuple[str, ...] = (),
        **environment: str,
    ) -> str:
        """`git CONFIG lfs ARGUMENTS`, its transfers reported as progress in bytes of `total`."""
        with LfsProgress(self._run, total) as progress:
            environment["GIT_LFS_PROGRESS"] = str(progress.path)
            return self._checked((*config, "lfs", *arguments), cwd, environment, progress.tick)

    def _checked(
        self,
        arguments: tuple[str, ...],
        cwd: Path,
        environment: Mapping[str, str],
        tick: Callable[[], bool],
        patient: bool = True,
    ) -> str:
        attempt = 0
        while True:
            attempt += 1
            with Answers() as answers:
                try:
                    return run_git(
                        [*self._config, *arguments],
                        cwd=cwd,
                        environment={
                            **self._login.environment,
                            **answers.environment,
                            **environment,
                        },
                        patience=self._patience,
                        tick=tick,
                    )
                except GitFailed as error:
                    found, stalled, last = (
                        explain(error, self.target, self._login),
                        error.returncode is None,
                        answers.last(),
                    )
            if stalled or not patient or last.status not in TRANSIENT:
                raise found
            self._waiting.wait(attempt, found.message, last.retry_after)

    def head(self) -> str:
        """The ref that HEAD names; "" where the remote does not tell, as most do not of a branch
        that is not there."""
        local = self.target.local
        if local is not None:
            return self.git("symbolic-ref", "HEAD", cwd=local, GIT_DIR=str(local)).strip()
        told = self.git("ls-remote", "--symref", self.target.url, "HEAD", cwd=Path("/"))
        return told.partition("ref: ")[2].partition("\t")[0] if told.startswith("ref: ") else ""

    def refs(self) -> dict[str, str]:
        """Ref to commit id as the remote has them now; a tag object counts as the commit it names,
        HEAD as its commit."""
        listed = [
            line.split("\t")
            for line in self.git(
                "ls-remote", "--quiet", self.target.url, cwd=Path("/")
            ).splitlines()
        ]
        plain = {name: commit for commit, name in listed if not name.endswith("^{}")}
        peeled = {
            name.removesuffix("^{}"): commit for commit, name in listed if name.endswith("^{}")
        }
        return plain | peeled


def _heads(folder: Path) -> list[str]:
    """The commits at which the history of a shallow repository ends."""
    return (folder / "shallow").read_text("ascii").split()
