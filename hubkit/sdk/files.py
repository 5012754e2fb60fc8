"""One door for files that somebody else made: regular files only, of a bounded size, UTF-8.

What goes wrong is an OSError or a UnicodeDecodeError, as with `Path.open` and `Path.read_text`, so
that callers word it for their reader.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

TEXT_LIMIT = 64 << 20
"""Bytes: the tokenizer.json of a model with 262,144 tokens has 33 MB (google/gemma-3-4b-it)."""

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_descriptor(path: Path) -> int:
    """A descriptor of the regular file `path`, for reading. A named pipe never blocks.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe, a socket or a device.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags)
    except ValueError:
        raise OSError(errno.EINVAL, "the name holds a NUL or is not UTF-8", str(path)) from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    kind = next((words for holds, words in _KINDS if holds(mode)), "something else")
    raise OSError(errno.EINVAL, f"{kind}, not a regular file", str(path))


def open_file(path: Path) -> BinaryIO:
    """The regular file `path` for reading; raises as `open_descriptor`."""
    return os.fdopen(open_descriptor(path), "rb")


def read_bytes(path: Path, limit: int = TEXT_LIMIT) -> bytes:
    """All of the file.

    Raises:
        OSError: as `open_descriptor`; or the file has more than `limit` bytes.
    """
    with open_file(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit:,} bytes", str(path))
    return data


def read_text(path: Path, limit: int = TEXT_LIMIT) -> str:
    """All of the file as text, without a byte order mark.

    Raises:
        OSError: as `read_bytes`.
        UnicodeDecodeError: it is not UTF-8; `start` is the first byte at fault.
    """
    return read_bytes(path, limit).decode("utf-8").removeprefix("\ufeff")
