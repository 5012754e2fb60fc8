"""A folder that appears complete or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hubkit.sdk.errors import EnvironmentFailure, UsageError

_SLACK = 16 * 2**20
"""Bytes beyond the files themselves: directories, file system metadata."""


@contextmanager
def staged(out: Path, needed: int) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its name when the block ends without an error;
    removed otherwise.

    `needed` is how many bytes will be written. What a killed run left behind is removed first.

    Raises:
        UsageError: `out` is there already, or another process is writing it.
        EnvironmentFailure: the disk is too small, before or while writing.
    """
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise UsageError(f"{out} is there already", "name another folder, or remove it first")
    parent = out.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(parent).free
    if free < needed + _SLACK:
        raise EnvironmentFailure(
            f"{parent}: {_gib(needed)} are needed and {_gib(free)} are free",
            f"free {_gib(needed + _SLACK - free)}, or use another disk",
        )
    partial = parent / f".{out.name}.partial"
    partial.mkdir(exist_ok=True)
    lock = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _claim(lock, partial, out)
        _empty(partial)
        try:
            yield partial
            for path in (*partial.rglob("*"), partial):
                _sync(path)
            partial.replace(out)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise EnvironmentFailure(
                    f"{parent}: the disk became full; {_gib(needed)} are needed in all",
                    "free space, then run again",
                ) from error
            raise
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        _sync(parent)
    finally:
        os.close(lock)


def _claim(lock: int, partial: Path, out: Path) -> None:
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(
            f"another process is writing {out}", "wait for it, or name another folder"
        ) from None
    if not partial.is_dir() or os.fstat(lock).st_ino != partial.stat().st_ino:
        raise UsageError(
            f"another process has just written {out}",
            "look at what it made, or name another folder",
        )


def _empty(folder: Path) -> None:
    for item in folder.iterdir():
        if item.is_dir() and not item.is_symlink():
            shutil.rmtree(item)
        else:
            item.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**28 else f"{size / 2**20:.1f} MiB"
