"""The tree of a release and the git index that matches it, with the files' real stat data."""

from __future__ import annotations

import hashlib
import io
import os
import struct
from pathlib import Path
from typing import Any

from ..sdk.errors import RefusedError
from ..sdk.hub import ReleaseFile

_PREPARED = "index.hubkit"


def pointer(file: ReleaseFile) -> bytes:
    """The text that git keeps in place of a large file (Git LFS specification, version 1)."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{file.sha256}\nsize {file.size}\n".encode()


def write_tree(folder: Path, files: tuple[ReleaseFile, ...]) -> str:
    """Writes blobs (pointers for the large files) and trees, prepares the index beside the real one; the tree's id.

    Raises:
        RefusedError: a small file, which is read here, is not what the manifest says.
    """
    import git
    from git.index.typ import IndexEntry
    from gitdb.base import IStream

    prepared = folder / ".git" / _PREPARED
    for leftover in (prepared, prepared.with_name(f"{_PREPARED}.lock")):
        leftover.unlink(missing_ok=True)
    with git.Repo(folder) as repository:
        index: Any = git.IndexFile(repository, str(prepared))
        for file in files:
            data = _blob(folder, file)
            blob = repository.odb.store(IStream("blob", len(data), io.BytesIO(data))).binsha
            index.entries[(file.path, 0)] = IndexEntry((0o100644, blob, 0, file.path, *_stat_fields(folder / file.path)))
        tree: str = index.write_tree().hexsha
        index.write(str(prepared), ignore_extension_data=True)
    return tree


def install_index(folder: Path, files: tuple[ReleaseFile, ...]) -> None:
    """Puts the prepared index in place, after the refs.

    Git reads a file again that is not older than the index, in whole seconds ("racy git"); an index dated one second after
    the youngest large file spares those.
    """
    prepared = folder / ".git" / _PREPARED
    youngest = max((int((folder / file.path).stat().st_mtime) for file in files if file.lfs), default=0)
    if youngest >= int(prepared.stat().st_mtime):
        os.utime(prepared, (youngest + 1, youngest + 1))
    prepared.replace(prepared.with_name("index"))


def _blob(folder: Path, file: ReleaseFile) -> bytes:
    if file.lfs:
        return pointer(file)
    data = (folder / file.path).read_bytes()
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise RefusedError(f"{file.path} has changed since the manifest was made", "package the release again")
    return data


def _stat_fields(path: Path) -> tuple[bytes, bytes, int, int, int, int, int]:
    """ctime, mtime, device, inode, owner, group and size as the index keeps them: 32 bits each."""
    status = path.stat()
    times = [struct.pack(">LL", ns // 10**9 & 0xFFFFFFFF, ns % 10**9) for ns in (status.st_ctime_ns, status.st_mtime_ns)]
    numbers = [n & 0xFFFFFFFF for n in (status.st_dev, status.st_ino, status.st_uid, status.st_gid, status.st_size)]
    return times[0], times[1], numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
