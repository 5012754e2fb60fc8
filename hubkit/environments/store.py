"""Where built environments are kept: `$HUBKIT_HOME/environments`, or
`~/.cache/hubkit/environments`.

<plugin>-<digest12>/             an environment; absent, whatever it holds, until hubkit.json is in
                                 it
<plugin>-<digest12>/hubkit.json  its state, written last
<plugin>-<digest12>.log          what pip said, when the last build failed
.locks/<plugin>-<digest12>       held while it is built or removed
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubkit.sdk import EnvironmentFailure, Run, UsageError, json_text
from hubkit.sdk.codec import decode, encode

from ..digests import of_json
from ..home import home
from .locks import Lock

if TYPE_CHECKING:
    from filelock import FileLock

STATE = "hubkit.json"
SECONDS_BETWEEN_TRIES = 0.2


@dataclass(frozen=True)
class State:
    """`python` is the full version of the interpreter that the environment was made from,
    `versions` those that the health check found (none where it could not be made), `size` in bytes.
    """

    plugin: str
    variant: str
    python: str
    platform: str
    packages: int
    versions: Mapping[str, str]
    size: int
    format: int = 1


def root() -> Path:
    return home() / "environments"


def name_of(lock: Lock) -> str:
    """`<plugin>-<digest12>`; the digest covers the packages, the Python version and the
    platform."""
    return f"{lock.plugin}-{of_json(encode(lock))[:12]}"


def python_of(folder: Path) -> Path:
    return folder / "bin" / "python"


def version_of(folder: Path) -> str:
    """The full version of the Python that the environment was made from, as venv wrote it."""
    lines = (
        line.partition("=") for line in (folder / "pyvenv.cfg").read_text("utf-8").splitlines()
    )
    return next(value.strip() for key, _, value in lines if key.strip() == "version")


def state_of(folder: Path) -> State | None:
    """None when there is no environment: never finished, or its interpreter was uninstalled."""
    try:
        state: State = decode(State, json_text.load(folder / STATE), STATE)
    except (OSError, ValueError, UsageError):
        return None
    return state if python_of(folder).exists() else None


def seal(folder: Path, state: State) -> None:
    """Writes the state file, from which the environment in `folder` counts as built."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=folder, delete=False) as file:
        json.dump(encode(state), file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(folder / STATE)


def built() -> dict[str, State]:
    """Every finished environment, by name."""
    folders = sorted(path for path in root().glob("[!.]*") if path.is_dir())
    states = {path.name: state_of(path) for path in folders}
    return {name: state for name, state in states.items() if state}


@contextlib.contextmanager
def locked(name: str, run: Run) -> Iterator[Path]:
    """The folder of environment `name`, with its lock held; waits for another process that holds
    it.

    Raises:
        EnvironmentFailure: the store cannot be written.
    """
    lock = _lock(name)
    if not _try(lock):
        run.note(f"another hubkit is at work on {name}: waiting for it")
        while not _try(lock):
            run.check_cancelled()
            time.sleep(SECONDS_BETWEEN_TRIES)
    try:
        yield root() / name
    finally:
        lock.release()


def sweep() -> list[str]:
    """Deletes what killed builds have left; the names of those. One that is being built is left
    alone."""
    swept = []
    for path in sorted(root().glob("[!.]*")):
        if not path.is_dir() or state_of(path):
            continue
        lock = _lock(path.name)
        if _try(lock):
            try:
                if not state_of(path):
                    remove(path)
                    swept.append(path.name)
            finally:
                lock.release()
    return swept


def remove(folder: Path) -> None:
    """Deletes an environment, its state file first, so that half of one never counts as built."""
    (folder / STATE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        shutil.rmtree(folder)


def size(folder: Path) -> int:
    """Bytes of the files below `folder`."""
    return sum(
        os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118
        for root, _, files in os.walk(folder)
        for name in files
    )


def _lock(name: str) -> FileLock:
    from filelock import FileLock

    place = root() / ".locks"
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFailure(
            f"{place}: {error.strerror}", "name a writable folder in HUBKIT_HOME"
        ) from None
    return FileLock(place / name)


def _try(lock: FileLock) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    except OSError as error:
        raise EnvironmentFailure(
            f"{lock.lock_file}: {error.strerror}", "name a writable folder in HUBKIT_HOME"
        ) from None
    return True
