"""Builds a locked environment once: lock file, partial folder, venv, pip, health check, state file.

It is built in its place, since a virtual environment's programs name their folder and cannot be
moved; it counts as absent until its state file is there, and the next command deletes what a killed
build has left.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.sdk import EnvironmentFailure, Health, HubkitError, Run

from . import pip, store
from .ask import ask_health
from .choice import Choice, lacks_gpu
from .environment import Environment
from .installed import differences
from .locks import Lock, Step
from .process import watch
from .store import State

SUPERVISOR = Path(__file__).with_name("supervisor.py")


@dataclass(frozen=True)
class Built:
    """`health` is None when the environment was there already, or could not be checked on a machine
    without a GPU: `unchecked` is then what it said."""

    name: str
    folder: Path
    state: State
    health: Health | None = None
    unchecked: str = ""

    @property
    def new(self) -> bool:
        return self.health is not None or self.unchecked != ""

    @property
    def python(self) -> Path:
        return store.python_of(self.folder)


@dataclass(frozen=True)
class Sources:
    """Where packages come from besides pip's own settings."""

    find_links: tuple[str, ...] = ()
    no_index: bool = False


def build(plugin: Any, choice: Choice, run: Run, sources: Sources = Sources()) -> Built:
    """The environment of `choice`, built unless it is there.

    Raises:
        EnvironmentFailure: pip failed, or the environment cannot do what the plugin needs; nothing
            is left behind but the log.
        CancelledError: `run` was cancelled; nothing is left behind.
    """
    name = store.name_of(choice.lock)
    if state := store.state_of(store.root() / name):
        return Built(name, store.root() / name, state)
    with store.locked(name, run) as folder:
        if state := store.state_of(folder):
            return Built(name, folder, state)
        store.remove(folder)
        try:
            return _fill(plugin, choice, folder, run, sources)
        except BaseException:
            store.remove(folder)
            raise


def _fill(plugin: Any, choice: Choice, folder: Path, run: Run, sources: Sources) -> Built:
    lock, log = choice.lock, folder.with_name(f"{folder.name}.log")
    log.unlink(missing_ok=True)
    run.note(
        f"building the environment {lock.plugin} {lock.variant} (Python {lock.python}, "
        f"{lock.packages} packages) in {folder}"
    )
    work = folder / ".build"
    (work / "tmp").mkdir(parents=True)
    steps = _Steps(run, lock.packages)
    execute(
        [str(choice.python), "-m", "venv", "--without-pip", str(folder)],
        "making the environment",
        work,
        log,
        steps,
        0,
    )
    for number, step in enumerate(lock.steps, 1):
        what = f"step {number} of {len(lock.steps)} of {lock.file_name}"
        _install(step, store.python_of(folder), what, work, log, steps, sources)
    run.note("checking that the environment works")
    found, unchecked = _checked(plugin, lock, folder, work)
    if unchecked:
        command = f"hubkit env check {lock.plugin} --environment locked:{lock.variant}"
        run.note(
            f"there is no GPU here to check it with, run `{command}` where there is one: "
            f"{unchecked}"
        )
    store.remove(work)
    python, versions = (found.python, found.versions) if found else (store.version_of(folder), {})
    state = State(
        lock.plugin,
        lock.variant,
        python,
        lock.platform,
        lock.packages,
        versions,
        store.size(folder),
    )
    store.seal(folder, state)
    return Built(folder.name, folder, state, found, unchecked)


class _Steps:
    """Sums the progress of several calls of pip."""

    def __init__(self, run: Run, total: int) -> None:
        self._run, self._total = run, total
        self._before, self._megabytes = 0.0, 0.0
        self._done, self._latest = 0.0, 0.0

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        self._done, self._latest = total, numbers.get("MB", 0.0)
        megabytes = round(self._megabytes + self._latest, 1)
        self._run.progress(
            self._before + done, self._total, unit, **({"MB": megabytes} if megabytes else {})
        )

    def note(self, message: str) -> None:
        self._run.note(message)

    def check_cancelled(self) -> None:
        self._run.check_cancelled()

    def next(self, packages: int) -> None:
        self._before, self._megabytes, self._latest = (
            self._before + packages,
            self._megabytes + self._latest,
            0.0,
        )
        self._run.progress(
            self._before,
            self._total,
            "packages",
            **({"MB": self._megabytes} if self._megabytes else {}),
        )


def _install(
    step: Step, python: Path, what: str, work: Path, log: Path, steps: _Steps, sources: Sources
) -> None:
    listed = work / "requirements.txt"
    listed.write_text(step.requirements, "utf-8")
    command = pip.install(
        python,
        listed,
        isolated=step.isolated,
        find_links=sources.find_links,
        no_index=sources.no_index,
    )
    search = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    execute(command, what, work, log, steps, len(step.packages), {"PATH": search, **step.variables})
    steps.next(len(step.packages))


def execute(
    command: Sequence[str],
    what: str,
    work: Path,
    log: Path,
    run: Run,
    count: int,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Runs `command` under the supervisor with its temporary files below `work`; a failure's log is
    kept in `log`.

    Raises:
        EnvironmentFailure: it did not end with 0.
    """
    ending = watch(
        [sys.executable, str(SUPERVISOR), str(count), *command],
        variables=pip.variables(os.environ, {"TMPDIR": str(work / "tmp"), **(variables or {})}),
        folder=work,
        result=work / "never",
        run=run,
        deadline=None,
    )
    if ending.code:
        log.write_bytes((work / "stdout.log").read_bytes() + (work / "stderr.log").read_bytes())
        raise pip.failure(what, ending.code, log)


def _checked(plugin: Any, lock: Lock, folder: Path, work: Path) -> tuple[Health | None, str]:
    """The environment's health. One for GPUs that does not work on a machine without any, such as
    where images are built, has none, and what it said.

    Raises:
        EnvironmentFailure: the environment is not what the lock says, or does not work.
    """
    if wrong := differences(folder, lock):
        message = "".join(f"\n  {one}" for one in wrong)
        raise EnvironmentFailure(
            f"pip did not install what {lock.file_name} says:{message}", "correct the lock"
        )
    environment = Environment(store.python_of(folder), locked=lock.variant)
    try:
        return ask_health(plugin, environment, work / "health"), ""
    except HubkitError as error:
        if lacks_gpu(lock.variant):
            return None, error.message
        remedy = (
            f"the lock {lock.file_name} does not work on this machine: name an interpreter of your "
            "own, or report it"
        )
        raise EnvironmentFailure(error.message, remedy) from None
