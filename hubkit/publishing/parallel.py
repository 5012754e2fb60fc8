"""Several uploads at once, with shares of one network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

from ..errors import CancelledError, HubkitError
from ..reporting import Parts
from ..sdk import Pace, Run

T = TypeVar("T")
Work = Callable[[Run, Pace], T]


@dataclass(frozen=True)
class Limits:
    """What publishing may use of the network: so many hubs at once, and of all of them together so
    many connections and 10^6 bytes per second (0: no limit)."""

    parallel: int = 2
    connections: int = 8
    max_mb_per_second: float = 0.0


def in_parallel(work: Sequence[tuple[str, Work[T]]], limits: Limits, run: Run) -> list[T]:
    """Does all of `work`, (name, function), `limits.parallel` at a time; the results in the order
    of `work`.

    All are done before the first error, in that order, is raised; the others' are notes.
    Interrupting stops all.
    """
    count = max(1, min(limits.parallel, limits.connections, len(work)))
    pace = Pace(max(1, limits.connections // count), limits.max_mb_per_second * 1e6 / count)
    if count == 1:
        return [do(run, pace) for _, do in work]
    parts = Parts(run)
    with ThreadPoolExecutor(count, thread_name_prefix="hubkit-upload") as pool:
        futures = [pool.submit(do, parts.part(name), pace) for name, do in work]
        try:
            wait(futures)
        except BaseException:
            parts.stop()
            raise
    errors = [
        (name, error)
        for (name, _), future in zip(work, futures, strict=True)
        if (error := future.exception())
    ]
    for name, error in errors[1:]:
        run.note(f"{name}: {error.message if isinstance(error, HubkitError) else error}")
    if errors:
        error = next((e for _, e in errors if isinstance(e, CancelledError)), errors[0][1])
        good = [name for name, _ in work if name not in {failed for failed, _ in errors}]
        if isinstance(error, HubkitError) and good:
            error.message = f"{error.message}; published all the same: {', '.join(good)}"
        raise error
    return [future.result() for future in futures]
