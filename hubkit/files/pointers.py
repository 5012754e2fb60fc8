"""Git LFS pointers: the few lines of text that stand in a clone for a file that was not fetched."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.errors import UsageError

from .tree import walk

_FIRST_LINES = (
    b"version https://git-lfs.github.com/spec/",
    b"version https://hawser.github.com/spec/",
    b"version http://git-media.io/v/",
)
"""The last two are of git-lfs before 1.0, which still takes them (git-lfs, lfs/pointer.go)."""
_LIMIT = 1024
"""Bytes: a pointer is shorter (git-lfs, docs/spec.md)."""


def is_pointer(path: Path) -> bool:
    """Whether the regular file `path` is a pointer; False when it cannot be read."""
    try:
        if not path.is_file() or path.stat().st_size >= _LIMIT:
            return False
        with path.open("rb") as file:
            return file.read(64).startswith(_FIRST_LINES)
    except OSError:
        return False


def pointers(folder: Path) -> list[str]:
    """The files of `folder`, at any depth, that are pointers."""
    return [path for path, entry in walk(folder) if is_pointer(Path(entry.path))]


def remedy(folder: Path) -> str:
    return f"run `git lfs pull` in {folder.absolute().name}, or download the files again"


def refuse_pointers(path: Path) -> None:
    """Raises UsageError that names every pointer in the folder `path`, or `path` itself."""
    folder = path if path.is_dir() else path.parent
    found = pointers(path) if path.is_dir() else [path.name] if is_pointer(path) else []
    if found:
        are = "is a Git LFS pointer" if len(found) == 1 else "are Git LFS pointers"
        raise UsageError(
            f"{folder}: {', '.join(found)} {are}, not the content itself", remedy(folder)
        )
