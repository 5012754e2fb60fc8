"""Writing a file block by block: several threads make and write the blocks, one digests them in their order.

At any time at most `2 * jobs + 2` blocks are in memory, whatever the size of the file.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.sdk.run import Run

BLOCK = 8 * 2**20
"""Bytes of a block, about: large enough that threads seldom meet, small enough for many to be in memory."""


@dataclass(frozen=True)
class Block:
    """`make` returns the `size` bytes (a buffer) that belong at `start` of the file; it runs in any thread."""

    start: int
    size: int
    make: Callable[[], Any]


@dataclass(frozen=True)
class WrittenFile:
    """`path` is POSIX and relative to the folder written."""

    path: str
    size: int
    sha256: str


@dataclass
class Meter:
    """Bytes written over all files, for progress."""

    total: int
    run: Run
    done: int = 0

    def add(self, size: int) -> None:
        self.run.check_cancelled()
        self.done += size
        self.run.progress(self.done, self.total, "bytes")


def write_file(folder: Path, name: str, head: bytes, blocks: Iterable[Block], meter: Meter, jobs: int) -> WrittenFile:
    """Writes `head` and then the blocks, which follow one another without gaps, and flushes them to the disk."""
    digest = hashlib.sha256(head)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        _write(descriptor, head, 0)
        size = len(head)
        with ThreadPoolExecutor(jobs, thread_name_prefix="hubkit-weights") as pool:
            waiting: deque[tuple[int, Future[Any]]] = deque()
            try:
                for block in blocks:
                    waiting.append((block.size, pool.submit(_make, descriptor, block)))
                    if len(waiting) > 2 * jobs + 1:
                        size += _finish(waiting, digest, meter)
                while waiting:
                    size += _finish(waiting, digest, meter)
            finally:
                for _, future in waiting:
                    future.cancel()
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return WrittenFile(name, size, digest.hexdigest())


def _make(descriptor: int, block: Block) -> Any:
    data = block.make()
    _write(descriptor, data, block.start)
    return data


def _finish(waiting: deque[tuple[int, Future[Any]]], digest: Any, meter: Meter) -> int:
    size, future = waiting.popleft()
    digest.update(future.result())
    meter.add(size)
    return size


def _write(descriptor: int, data: Any, start: int) -> None:
    view = memoryview(data).cast("B")
    done = 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], start + done)
