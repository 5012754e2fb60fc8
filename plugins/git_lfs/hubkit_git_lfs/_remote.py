"""Git commands against one remote, watched and with their failures explained."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from hubkit.sdk import Run
from hubkit.sdk.gitcli import LFS_FILTER, GitFailed, run_git
from hubkit.sdk.transfer import TRANSIENT, Patience

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

    def git(self, *arguments: str, cwd: Path, **environment: str) -> str:
        """`git ARGUMENTS`; raises what the failure means."""

        def tick() -> bool:
            self._run.check_cancelled()
            return False

        return self._checked(arguments, cwd, environment, tick)

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
            if stalled or last.status not in TRANSIENT:
                raise found
            self._waiting.wait(attempt, found.message, last.retry_after)

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
