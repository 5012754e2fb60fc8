"""The tree of a release and the git index that matches it, with the files' real stat data."""

from __future__ import annotations

import hashlib
import io
import os
import struct
from pathlib import Path

from ..sdk.errors import RefusedError
from ..sdk.hub import ReleaseFile

_PREPARED = "index.hubkit"


def pointer(file: ReleaseFile) -> bytes:
    """The text that git keeps in place of a large file (Git LFS specification, version 1)."""
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{file.sha256}\nsize {file.size}\n"
    ).encode()


def write_tree(folder: Path, files: tuple[ReleaseFile, ...]) -> str:
    """Writes blobs (pointers for the large files) and trees, prepares the index beside the real
    one; the tree's id.

    Raises:
        RefusedError: a small file, which is read here, is not what the manifest says.
    """
    from git.index.fun import write_cache, write_tree_from_cache
    from git.index.typ import IndexEntry
    from gitdb import LooseObjectDB
    from gitdb.base import IStream

    # not through git.Repo, which follows GIT_OBJECT_DIRECTORY and the like to another repository
    objects = LooseObjectDB(str(folder / ".git" / "objects"))
    entries = []
    for file in sorted(files, key=lambda file: file.path):
        data = _blob(folder, file)
        blob = objects.store(IStream("blob", len(data), io.BytesIO(data))).binsha
        entries.append(
            IndexEntry((0o100644, blob, 0, file.path, *_stat_fields(folder / file.path)))
        )
    with (folder / ".git" / _PREPARED).open("wb") as stream:
        write_cache(entries, stream)
    tree: bytes = write_tree_from_cache(entries, objects, slice(0, len(entries)))[0]
    return tree.hex()


def install_index(folder: Path, files: tuple[ReleaseFile, ...]) -> None:
    """Puts the prepared index in place, after the refs.

    Git reads a file again that is not older than the index, in whole seconds ("racy git"); an index
    dated one second after the youngest large file spares those.
    """
    prepared = folder / ".git" / _PREPARED
    youngest = max(
        (int((folder / file.path).stat().st_mtime) for file in files if file.lfs), default=0
    )
    if youngest >= int(prepared.stat().st_mtime):
        os.utime(prepared, (youngest + 1, youngest + 1))
    prepared.replace(prepared.with_name("index"))


def _blob(folder: Path, file: ReleaseFile) -> bytes:
    if file.lfs:
        return pointer(file)
    data = (folder / file.path).read_bytes()
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise RefusedError(
            f"{file.path} has changed since the manifest was made", "package the release again"
        )
    return data


def _stat_fields(path: Path) -> tuple[bytes, bytes, int, int, int, int, int]:
    """ctime, mtime, device, inode, owner, group and size as the index keeps them: 32 bits each."""
    status = path.stat()
    times = [
        struct.pack(">LL", ns // 10**9 & 0xFFFFFFFF, ns % 10**9)
        for ns in (status.st_ctime_ns, status.st_mtime_ns)
    ]
    numbers = [
        n & 0xFFFFFFFF
        for n in (status.st_dev, status.st_ino, status.st_uid, status.st_gid, status.st_size)
    ]
    return times[0], times[1], numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
