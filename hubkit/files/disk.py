"""What hubkit asks of the disk beyond pathlib."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

from ..sdk.errors import EnvironmentFailure, HubkitError, UsageError

_FICLONE = 0x40049409
"""ioctl of Linux (linux/fs.h): the target gets the source's blocks, copied on write."""


def reflink(source: Path, target: Path) -> None:
    """Makes the new file `target` share the blocks of `source`.

    Raises:
        OSError: the file system cannot, the two are on different ones, or `target` is there.
    """
    try:
        from fcntl import ioctl
    except ImportError:
        raise OSError(errno.ENOTSUP, "no reflinks on this system") from None
    with source.open("rb") as reader, target.open("xb") as writer:
        ioctl(writer.fileno(), _FICLONE, reader.fileno())


def remove(path: Path) -> None:
    """Deletes a file or folder, also one with read-only files in it; nothing when it is not
    there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    path.write_text(
        json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n"
    )


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NEXT_TO_NOTHING = 1 << 20
_LOCKED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def failure(error: OSError, place: Path | None = None, needed: int = 0) -> HubkitError | None:
    """What to tell when a file could not be written: the disk is full, the folder is read-only, or
    its name is longer than any can be. None for another error. `place` is where it was written when
    the error itself does not say so; `needed` bytes are what the work takes in all.
    """
    where = Path(error.filename) if isinstance(error.filename, str) else place
    if error.errno in _FULL:
        return EnvironmentFailure(
            f"{where or 'the disk'}: {error.strerror}{_room(place or where, needed)}",
            "make room and run the same command again, or work on a larger disk",
        )
    if error.errno in _LOCKED and where is not None:
        return EnvironmentFailure(
            f"{where}: {error.strerror}", "change its permissions, or work in another folder"
        )
    if error.errno == errno.ENAMETOOLONG:
        named = f"{str(where)[:60]}…" if where else "a file"
        return UsageError(f"{named}: no file can have a name of this length", "name another file")
    return None


def full_disk(folder: Path, needed: int) -> str:
    """Says that the disk of `folder` has next to no room; empty when it has."""
    if shutil.disk_usage(_there(folder)).free >= _NEXT_TO_NOTHING:
        return ""
    return f"{folder}: the disk is full{_room(folder, needed)}"


def _room(place: Path | None, needed: int) -> str:
    if place is None:
        return ""
    there = _there(place)
    free = f"{shutil.disk_usage(there).free:,} bytes are free in {there}"
    return f"; {needed:,} bytes are needed, {free}" if needed else f"; {free}"


def _there(folder: Path) -> Path:
    """`folder`, or the nearest above it that exists."""
    return next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))
