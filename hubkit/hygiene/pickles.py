"""Pickles, whatever they are called: loading one can run code."""

from __future__ import annotations

import os
import re
from pathlib import Path

_SUFFIXES = re.compile(r".*\.(pth|pt|bin|pkl|pickle|ckpt|joblib|dill)", re.IGNORECASE)
_ZIP_END, _ZIP_END_BYTES = b"PK\5\6", 22 + (1 << 16)
"""How a zip's last record begins, and the most bytes that it has. Importing zipfile takes longer
than looking for it in all files of most releases."""
_INSIDE = (".pkl", ".pickle", ".pth", ".pt")


def by_suffix(name: str) -> bool:
    return _SUFFIXES.fullmatch(name) is not None


def by_content(path: Path) -> bool:
    """Whether the file is a bare pickle of protocol 2 to 5, a zip that holds one (torch's), or a
    NumPy file of Python objects."""
    with path.open("rb") as stream:
        head = stream.read(256)
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - _ZIP_END_BYTES))
        zipped = _ZIP_END in stream.read()
    if len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5:
        return True
    if head.startswith(b"\x93NUMPY"):
        return re.search(rb"'descr': *'\|?O", head) is not None
    if not zipped:
        return False
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.lower().endswith(_INSIDE) for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        return False
