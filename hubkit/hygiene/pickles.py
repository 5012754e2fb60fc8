"""Pickles, whatever they are called: loading one can run code."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

_SUFFIXES = re.compile(r".*\.(pth|pt|bin|pkl|pickle|ckpt|joblib|dill)", re.IGNORECASE)
_INSIDE = (".pkl", ".pickle", ".pth", ".pt")


def by_suffix(name: str) -> bool:
    return _SUFFIXES.fullmatch(name) is not None


def by_content(path: Path) -> bool:
    """Whether the file is a bare pickle of protocol 2 to 5, a zip that holds one (torch's), or a
    NumPy file of Python objects."""
    with path.open("rb") as stream:
        head = stream.read(256)
    if len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5:
        return True
    if head.startswith(b"\x93NUMPY"):
        return re.search(rb"'descr': *'\|?O", head) is not None
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.lower().endswith(_INSIDE) for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        return False
