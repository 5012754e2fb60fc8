"""Git commands against one remote, watched and with their failures explained."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from hubkit.sdk import Run
from hubkit.sdk.gitcli import LFS_FILTER, GitFailed, run_git

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
    **{f"filter.lfs.{key}": value for key, value in LFS_FILTER},
}


class Remote:
    """`patience` is how many seconds a command may go without progress."""

    def __init__(self, target: Target, run: Run, login: Login, patience: float) -> None:
        self.target, self._run, self._login, self._patience = target, run, login, patience
        config = {**_CONFIG, "http.lowSpeedLimit": "1", "http.lowSpeedTime": str(max(1, int(patience)))}
        if login.token:
            # git hands a password that worked to every credential helper, and `store` writes it to a file
            config["credential.helper"] = ""
        self._config = [word for key, value in config.items() for word in ("-c", f"{key}={value}")]

    def git(self, *arguments: str, cwd: Path, **environment: str) -> str:
        """`git ARGUMENTS`; raises what the failure means."""

        def tick() -> bool:
            self._run.check_cancelled()
            return False

        return self._checked(arguments, cwd, environment, tick)

    def lfs(self, *arguments: str, cwd: Path, total: int, **environment: str) -> str:
        """`git lfs ARGUMENTS`, its transfers reported as progress in bytes of `total`."""
        with LfsProgress(self._run, total) as progress:
            environment["GIT_LFS_PROGRESS"] = str(progress.path)
            return self._checked(("lfs", *arguments), cwd, environment, progress.tick)

    def _checked(self, arguments: tuple[str, ...], cwd: Path, environment: Mapping[str, str], tick: Callable[[], bool]) -> str:
        try:
            return run_git(
                [*self._config, *arguments],
                cwd=cwd,
                environment={**self._login.environment, **environment},
                patience=self._patience,
                tick=tick,
            )
        except GitFailed as error:
            raise explain(error, self.target, self._login.token) from None

    def refs(self) -> dict[str, str]:
        """Ref to commit id as the remote has them now; a tag object counts as the commit it names, HEAD as its commit."""
        listed = [line.split("\t") for line in self.git("ls-remote", "--quiet", self.target.url, cwd=Path("/")).splitlines()]
        plain = {name: commit for commit, name in listed if not name.endswith("^{}")}
        peeled = {name.removesuffix("^{}"): commit for commit, name in listed if name.endswith("^{}")}
        return plain | peeled
