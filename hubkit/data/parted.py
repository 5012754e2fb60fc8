"""Large files are read by several processes, each a part. That proves that all is sound, or
nothing: when anything is amiss, one process reads the file in order and says what."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from ..registry.plugins import plugins
from ..sdk import Record, Row, Run
from ..sdk.json_parts import Part, parts
from ..sdk.run import SilentRun
from .output import spool
from .taken import Taken, joined
from .validate import Validation

LARGE = 64 << 20
"""Bytes from which on processes are worth their start, and their memory."""
_MOST = 8
Line = Callable[[Record], str]


def read_in_parts(
    data: Validation,
    format: str,
    options: Mapping[str, Any],
    run: Run,
    place: Path,
    line: Line | None,
) -> bool:
    """Whether all records of the source are sound and were read: they are then in `data`, and in
    `place` with `line`, as if they had been read in order. Else nothing has changed."""
    plugin = plugins().get("dataset", format)
    if not (_suits(data) and hasattr(plugin, "scan_part")):
        return False
    count = min(len(os.sched_getaffinity(0)), _MOST)
    cut = parts(data.source, count) if count > 1 else ()
    if len(cut) < 2:
        return False
    spooled = [place.with_name(f"{place.name}-{part.first}") for part in cut]
    with ExitStack() as stack:
        for path in spooled:
            stack.callback(path.unlink, missing_ok=True)
        pipes = [
            _started(stack, data, plugin.scan_part(data.source, options, part), part, path, line)
            for part, path in zip(cut, spooled, strict=True)
        ]
        found = _gathered(pipes, run)
        taken = joined(found) if found else None
        if taken is None:
            return False
        data.taken, data.rows = taken, len(taken)
        if line:
            _join(spooled, place)
    return True


def _suits(data: Validation) -> bool:
    """Pictures that are opened take far longer than their records, and threads open them. Hashes
    of texts are a process's own, and those that it is forked into have the same."""
    return (
        sys.platform == "linux"
        and data.pictures.look == "exist"
        and not data.fix
        and data.source.is_file()
        and data.source.stat().st_size >= LARGE
    )


def _started(
    stack: ExitStack,
    data: Validation,
    rows: Iterable[Row],
    part: Part,
    path: Path,
    line: Line | None,
) -> Connection:
    """What the process that reads `rows` says: how many it has read, and in the end a Taken, or
    None."""
    context = get_context("fork")
    heard, says = context.Pipe(duplex=False)
    process = context.Process(target=_read, args=(says, data, rows, part.first, path, line))
    with warnings.catch_warnings():  # Python 3.12 and newer warn of threads, which take no part
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    stack.callback(process.join)
    stack.callback(process.kill)
    says.close()
    return stack.enter_context(heard)


def _gathered(pipes: list[Connection], run: Run) -> list[Taken] | None:
    """What each has taken; None as soon as one cannot say."""
    found: dict[Connection, Taken] = {}
    read = dict.fromkeys(pipes, 0)
    while len(found) < len(pipes):
        run.check_cancelled()
        for pipe in wait([one for one in pipes if one not in found], 0.1):
            assert isinstance(pipe, Connection)
            try:
                said = pipe.recv()
            except EOFError:  # it has died
                return None
            if said is None:
                return None
            if isinstance(said, Taken):
                found[pipe] = said
            else:
                read[pipe] = said
                done = sum(read.values())
                run.progress(done, done, "records")
    return [found[pipe] for pipe in pipes]


class _Amiss(Exception):
    """Something that reading in order has to look at."""


class _Told(SilentRun):
    def __init__(self, says: Connection, data: Validation) -> None:
        self._says, self._data, self._batches = says, data, 0

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        if self._data.tally.counts or self._data.respelt:
            raise _Amiss
        self._batches += 1
        if self._batches % 50 == 0:
            self._says.send(int(done))


def _read(
    says: Connection,
    data: Validation,
    rows: Iterable[Row],
    first: int,
    path: Path,
    line: Line | None,
) -> None:
    """The life of a process."""
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    data.taken = Taken(first)
    try:
        records = data.sound(_plain(rows), _Told(says, data))
        if line:
            spool(records, path, line)
        else:
            deque(records, maxlen=0)
    except BaseException:  # reading in order meets it again, and tells it
        says.send(None)
    else:
        del rows, records, data.pictures
        data.taken.settle()
        says.send(data.taken)


def _plain(rows: Iterable[Row]) -> Iterator[Row]:
    for row in rows:
        if row.problem or row.pictures or row.fixes:
            raise _Amiss
        yield row


def _join(spooled: list[Path], place: Path) -> None:
    with place.open("wb") as out:
        for path in spooled:
            with path.open("rb") as one:
                shutil.copyfileobj(one, out, 1 << 20)
