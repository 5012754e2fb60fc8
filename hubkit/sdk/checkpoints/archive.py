"""Zip archives that somebody else made."""

from __future__ import annotations

import struct
import zipfile
from typing import BinaryIO

from ..excerpt import shown

_MAX_DIRECTORY = 16 << 20
"""Bytes of the list of an archive's records, some 150 each; zipfile reads it whole."""


def open_archive(file: BinaryIO) -> zipfile.ZipFile:
    """Raises zipfile.BadZipFile when `file` is no sound archive, or lists too many records."""
    try:
        return zipfile.ZipFile(_Bounded(file))
    except (ValueError, OverflowError, NotImplementedError, struct.error) as error:
        raise zipfile.BadZipFile(str(error)[:200]) from None


def read_stored(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    """A record that is stored as it is, as torch does; zipfile unpacks others without a bound.

    Raises:
        zipfile.BadZipFile: it is compressed, larger than `limit` bytes, or damaged.
    """
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        raise zipfile.BadZipFile(f"{shown(name)} is compressed or damaged")
    if max(info.file_size, info.compress_size) > limit:
        raise zipfile.BadZipFile(f"{shown(name)} is larger than {limit:,} bytes")
    try:
        return archive.read(name)
    except (ValueError, OverflowError, EOFError, RuntimeError, struct.error) as error:
        raise zipfile.BadZipFile(f"{shown(name)} cannot be read ({str(error)[:200]})") from None


class _Bounded:
    """The file as zipfile sees it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, count: int = -1) -> bytes:
        data = self._file.read(min(count, _MAX_DIRECTORY + 1) if count >= 0 else count)
        if len(data) > _MAX_DIRECTORY:
            raise zipfile.BadZipFile("it lists too many records")
        return data
