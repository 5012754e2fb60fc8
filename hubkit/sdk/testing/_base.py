"""What the drivers share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from ..codec import decode, encode
from ..contract import problems
from ..errors import CancelledError

J = TypeVar("J")


class ConformanceError(AssertionError):
    """A plugin does not do what its contract says."""


def require(condition: object, message: str) -> None:
    if not condition:
        raise ConformanceError(message)


def check_contract(plugin: Any, kind: str = "") -> None:
    """Attributes and methods as the Protocol of its kind has them."""
    found = problems(type(plugin))
    require(not found, f"{type(plugin).__name__} breaks its contract: {'; '.join(found)}")
    require(
        not kind or plugin.kind == kind,
        f"{plugin.name} is a {plugin.kind}, this driver is for a {kind}",
    )


def as_a_worker_gets_it(plugin: Any, job: J) -> J:
    """`job` after its way through JSON, with the defaults of the plugin's Options filled in."""
    given: Any = decode(type(job), json.loads(json.dumps(encode(job))), "the job")
    options = decode(plugin.Options, given.options, f"options of {plugin.kind} {plugin.name}")
    filled: J = replace(given, options=encode(options))
    return filled


def check_travels(output: Any, kind: type) -> None:
    """`output` is of `kind` and comes back equal from its way through JSON."""
    require(
        isinstance(output, kind),
        f"returned {type(output).__name__}, the contract says {kind.__name__}",
    )
    back: Any = decode(kind, json.loads(json.dumps(encode(output))), kind.__name__)
    require(
        encode(back) == encode(output),
        f"{kind.__name__} changes on its way through JSON: use plain values",
    )


def check_relative(path: str, folder: Path, what: str) -> Path:
    """The existing file or folder that `path` names below `folder`."""
    pure = PurePosixPath(path)
    require(
        path and not pure.is_absolute() and ".." not in pure.parts,
        f"{what} is {path!r}, it must be relative to `output`",
    )
    require((folder / pure).exists(), f"{what} names {path!r}, which is not in `output`")
    return folder / pure


def digests(folder: Path) -> dict[str, str]:
    """sha256 by POSIX path of every file below `folder`, `.git` left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: sha256(path) for name, path in named.items() if not name.startswith(".git/")}


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


class WatchedRun:
    """A Run that remembers, and that is cancelled from the `cancel_at`-th progress report on."""

    def __init__(self, cancel_at: int | None = None) -> None:
        self.reports: list[tuple[float, float, str]] = []
        self._cancel_at = cancel_at

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        require(
            0 <= done <= total, f"progress({done}, {total}): `done` must lie between 0 and `total`"
        )
        require(isinstance(unit, str) and unit, "progress needs a unit")
        self.reports.append((done, total, unit))

    def note(self, message: str) -> None:
        require(isinstance(message, str), "a note must be text")

    def check_cancelled(self) -> None:
        if self._cancel_at is not None and len(self.reports) >= self._cancel_at:
            raise CancelledError("interrupted by the conformance driver", "none needed")


def check_cancels(work: Callable[[WatchedRun], object], what: str, after: int) -> None:
    """`work`, cancelled from its `after`-th progress report on (0: from the start), ends with
    CancelledError."""
    try:
        work(WatchedRun(cancel_at=after))
    except CancelledError:
        return
    raise ConformanceError(
        f"{what} finished although it was cancelled: call run.check_cancelled() in its loop"
    )


def beside(job: J, name: str) -> J:
    """The same job with an output folder of its own beside that of `job`."""
    given: Any = job
    changed: J = replace(given, output=given.output.with_name(f"{given.output.name}-{name}"))
    return changed
