"""Everything in a folder, and the names that a release may have."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path


def walk(folder: Path, below: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Everything in `folder` that is not a real directory, without following links; the top `.git`
    is left out."""
    with os.scandir(folder / below) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{below}{entry.name}"
            if path == ".git":
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from walk(folder, f"{path}/")
            else:
                yield path, entry


def path_problem(path: str) -> str | None:
    """Why `path` may not be a file of a release; None when it may. Nothing that passes leaves the
    release folder."""
    parts = path.split("/")
    try:
        path.encode()
    except UnicodeEncodeError:
        return "the name is not UTF-8"
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return "an absolute path"
    if "\\" in path:
        return "a backslash in the name"
    if any(ord(c) < 32 or ord(c) == 127 for c in path):
        return "a control character in the name"
    if any(part in ("", ".", "..") for part in parts):
        return "an empty, `.` or `..` part in the path"
    if any(part.lower() == ".git" for part in parts):
        return "inside a .git folder"
    return None
