"""What hubkit asks of the disk beyond pathlib."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

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
