"""The one rule on what may be published: nothing that runs code, gives something away, or that a
hub would reject."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ..errors import UsageError
from ..files.outside import inside
from ..files.pointers import is_pointer
from ..files.pointers import remedy as pull
from ..files.tree import walk
from ..sdk.family import Problem
from . import pickles
from .names import clashes, folder_problem, name_problems, outside_release, shown
from .redirects import redirects
from .search import search

HUB_LIMIT = 50 * 10**9
"""Bytes a file: Hugging Face's hard limit."""

_PROGRAM_MAGIC = (
    b"\x7fELF",
    b"MZ\x90\x00",
    b"\xca\xfe\xba\xbe",
    b"\xcf\xfa\xed\xfe",
    b"\xce\xfa\xed\xfe",
)
_COMPRESSED_MAGIC = (
    *(b"PK\x03\x04", b"\x1f\x8b\x08", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"),
    *(b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"MSCF\0\0\0\0"),
    *(b"BZh%d1AY&" % level for level in range(1, 10)),
)
"""zip (and what is built on it: docx, npz), gzip, xz, zstd, lz4, 7z, rar, cab, bzip2."""


def audit(folder: Path, author_email: str = "") -> tuple[Problem, ...]:
    """Everything in `folder` that may not be published, all at once; empty when it may.

    `author_email` is the one address that texts may hold. A credential's value is never part of a
    Problem.
    """
    found, problems = [], dict[Problem, None]()
    for path, entry in walk(folder):
        if (outside := outside_release(path)) is not None:
            problems[folder_problem(shown(outside))] = None
            continue
        found.append(path)
        problems.update(dict.fromkeys(_of_entry(folder, path, entry, author_email)))
    problems.update(dict.fromkeys(clashes(found)))
    return tuple(sorted(problems, key=lambda problem: problem.where))


def pointer_problem(folder: Path, where: str) -> Problem:
    return Problem(where, "a Git LFS pointer, not the content itself", pull(folder))


def _of_entry(
    folder: Path, path: str, entry: os.DirEntry[str], author_email: str
) -> Iterator[Problem]:
    where = shown(path)
    yield from name_problems(path)
    if entry.is_symlink() and not _in_cache(folder, path):
        yield Problem(where, "a symbolic link", "put the file itself there, or remove the link")
    elif not entry.is_file():
        yield Problem(where, "neither a file nor a folder", "remove it")
    elif is_pointer(Path(entry.path)):
        yield pointer_problem(folder, where)
    else:
        yield from _of_status(entry.stat(), where)
        if entry.stat().st_size > HUB_LIMIT:
            return
        try:
            yield from _of_content(Path(entry.path), where, author_email)
        except OSError as error:
            yield Problem(where, f"cannot be read ({error.strerror})", "correct its permissions")


def _in_cache(folder: Path, path: str) -> bool:
    """Whether the link is one of a snapshot in a Hugging Face cache, which consists of links."""
    try:
        return inside(folder, path).resolve(strict=True).parent.name == "blobs"
    except (UsageError, OSError, RuntimeError):
        return False


def _of_status(status: os.stat_result, where: str) -> Iterator[Problem]:
    if status.st_size > HUB_LIMIT:
        yield Problem(
            where,
            f"{status.st_size} bytes: the hubs take at most 50 GB a file",
            "write the weights in smaller shards",
        )
    if stat.S_IMODE(status.st_mode) & 0o111:
        yield Problem(where, "marked as executable", f"`chmod a-x {where}`")


def _of_content(path: Path, where: str, author_email: str) -> Iterator[Problem]:
    with path.open("rb") as stream:
        head = stream.read(8)
    if head.startswith(_PROGRAM_MAGIC):
        yield Problem(where, "a program by its first bytes", "remove it")
    if path.name.endswith("_config.json"):
        yield from redirects(path, where)
    if pickles.by_suffix(path.name):
        return
    if not path.name.endswith(".safetensors") and pickles.by_content(path):
        yield Problem(
            where,
            "a pickle by its content: loading it can run code",
            "publish it as safetensors or JSON and remove it",
        )
    elif head.startswith(_COMPRESSED_MAGIC):
        yield Problem(
            where,
            "compressed: what is in it cannot be searched for secrets",
            "publish what is in it instead, or remove it",
        )
    else:
        yield from search(path, where, author_email)
