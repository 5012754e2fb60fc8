"""Writing a file block by block: several threads fill the blocks, one writes and one digests them
in their order.

More than one writing thread would be slower: the kernel lets one at a time write to a file, and the
others burn a core waiting.

The blocks live in `2 * jobs + 1` buffers that are used again and again, whatever the size of the
file.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hubkit.sdk.run import Run

BLOCK = 4 * 2**20
"""Bytes of a block, about: large enough that threads seldom meet, small enough for many to be in
memory."""

_FLUSH = 64 * 2**20
"""Bytes after which the kernel is asked to begin writing, so that the final flush finds little to
do. (On Linux POSIX_FADV_DONTNEED starts the writing of dirty pages and drops only clean ones, of
which there are none yet.)"""


_WRITE = 256 * 2**10
"""Bytes handed to the kernel at once. Measured on Linux 6.18 with ext4, 4.4 GB: 1.6 s of system
time in such pieces, 5 s in pieces of 4 MiB."""


@dataclass(frozen=True)
class Block:
    """`fill` puts the bytes that belong at `start` of the file into a buffer of `size` bytes; it
    runs in any thread."""

    start: int
    size: int
    fill: Callable[[memoryview], None]


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


def write_file(
    folder: Path, name: str, head: bytes, blocks: Iterable[Block], meter: Meter, jobs: int
) -> WrittenFile:
    """Writes `head` and then the blocks, which follow one another without gaps, and flushes them to
    the disk."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        writer = _Writer(descriptor, head, meter, jobs)
        writer.write(blocks)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return WrittenFile(name, writer.size, writer.digest.hexdigest())


def digest_file(
    folder: Path, name: str, head: bytes, blocks: Iterable[Block], meter: Meter, jobs: int
) -> WrittenFile:
    """As write_file() of a file that is in `folder` already with these very bytes: it is only
    digested and flushed."""
    writer = _Writer(None, head, meter, jobs)
    writer.write(blocks)
    with (folder / name).open("rb") as file:
        os.fsync(file.fileno())
    return WrittenFile(name, writer.size, writer.digest.hexdigest())


class _Writer:
    """Without a `descriptor` it only digests."""

    def __init__(self, descriptor: int | None, head: bytes, meter: Meter, jobs: int) -> None:
        self.descriptor, self.meter, self.jobs = descriptor, meter, jobs
        self.digest = hashlib.sha256(head)
        self.size = len(head)
        self.flushed = 0
        self.free: list[bytearray] = []
        self.waiting: deque[tuple[Block, Future[bytearray]]] = deque()
        _write(descriptor, memoryview(head), 0)

    def write(self, blocks: Iterable[Block]) -> None:
        with ThreadPoolExecutor(self.jobs) as fillers, ThreadPoolExecutor(1) as writer:
            try:
                for block in blocks:
                    if len(self.waiting) > 2 * self.jobs:
                        self._finish(writer)
                    buffer = self.free.pop() if self.free else bytearray()
                    self.waiting.append((block, fillers.submit(_fill, block, buffer)))
                while self.waiting:
                    self._finish(writer)
            finally:
                for _, future in self.waiting:
                    future.cancel()

    def _finish(self, writer: ThreadPoolExecutor) -> None:
        block, future = self.waiting.popleft()
        buffer = future.result()
        view = memoryview(buffer)[: block.size]
        written = writer.submit(_write, self.descriptor, view, block.start)
        self.digest.update(view)
        written.result()
        self.free.append(buffer)
        self.size += block.size
        if self.size - self.flushed >= _FLUSH:
            if self.descriptor is not None and hasattr(os, "posix_fadvise"):
                os.posix_fadvise(
                    self.descriptor, self.flushed, self.size - self.flushed, os.POSIX_FADV_DONTNEED
                )
            self.flushed = self.size
        self.meter.add(block.size)


def _fill(block: Block, buffer: bytearray) -> bytearray:
    if len(buffer) < block.size:
        buffer = bytearray(block.size)
    block.fill(memoryview(buffer)[: block.size])
    return buffer


def _write(descriptor: int | None, view: memoryview, start: int) -> None:
    if descriptor is None:
        return
    done = 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done : done + _WRITE], start + done)
