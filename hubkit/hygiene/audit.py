"""What must never be published: pickles, credentials, local paths, links, strays, and what the hubs
would reject."""

from __future__ import annotations

import json
import os
import re
import stat
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..files.tree import path_problem, walk
from ..sdk.family import Problem
from .leaks import CREDENTIAL_NAMES, credentials, is_text, local_paths

HUB_LIMIT = 50 * 10**9
"""Bytes a file: Hugging Face's hard limit."""

_PICKLES = re.compile(r".*\.(pth|pt|bin|pkl|pickle|ckpt|joblib|dill)", re.IGNORECASE)
_PROGRAMS = re.compile(r".*\.(exe|dll|so|so\.\d+|dylib|pyc|pyo|pyd)", re.IGNORECASE)
_PROGRAM_MAGIC = (
    b"\x7fELF",
    b"MZ\x90\x00",
    b"\xca\xfe\xba\xbe",
    b"\xcf\xfa\xed\xfe",
    b"\xce\xfa\xed\xfe",
)
_VISIBLE_DOTS = re.compile(r"\.gitattributes|\.eval_results/[^/]+\.yaml")
_HEADER_LIMIT = 100_000_000


def audit(folder: Path) -> tuple[Problem, ...]:
    """Everything in `folder` that may not be published, all at once; empty when it may.

    A credential's value is never part of a Problem.
    """
    found = dict(walk(folder))
    problems = [problem for path, entry in found.items() for problem in _audit_entry(path, entry)]
    problems += _clashes(found)
    return tuple(sorted(problems, key=lambda problem: problem.where))


def _audit_entry(path: str, entry: os.DirEntry[str]) -> Iterator[Problem]:
    where = path.encode(errors="backslashreplace").decode()
    if problem := path_problem(path):
        yield Problem(ascii(path), problem, "rename the file to plain characters")
    if entry.is_symlink():
        yield Problem(where, "a symbolic link", "put the file itself there, or remove the link")
        return
    if not entry.is_file():
        yield Problem(where, "neither a file nor a folder", "remove it")
        return
    yield from _audit_name(path, where)
    yield from _audit_content(Path(entry.path), where, entry.stat())


def _audit_name(path: str, where: str) -> Iterator[Problem]:
    parts = path.split("/")
    if CREDENTIAL_NAMES.fullmatch(parts[-1]):
        yield Problem(
            where,
            "a file that holds credentials",
            "remove it; if it was ever public, revoke what is in it",
        )
    elif "__pycache__" in parts:
        yield Problem(where, "Python's cache", "remove the __pycache__ folder")
    elif any(part.startswith(".") for part in parts) and not _VISIBLE_DOTS.fullmatch(path):
        yield Problem(
            where,
            "a hidden file",
            "remove it: a release has no hidden files but its .gitattributes",
        )
    if _PICKLES.fullmatch(path):
        yield Problem(
            where,
            "a pickle by its suffix: loading it can run code",
            "publish the weights as safetensors and remove it",
        )
    if _PROGRAMS.fullmatch(path):
        yield Problem(where, "a program by its suffix", "remove it")


def _audit_content(path: Path, where: str, status: os.stat_result) -> Iterator[Problem]:
    if status.st_size > HUB_LIMIT:
        yield Problem(
            where,
            f"{status.st_size} bytes: the hubs take at most 50 GB a file",
            "write the weights in smaller shards",
        )
    if stat.S_IMODE(status.st_mode) & 0o111:
        yield Problem(where, "marked as executable", f"`chmod a-x {where}`")
    if path.name.endswith(".safetensors"):
        yield from _audit_safetensors(path, where, status.st_size)
        return
    with path.open("rb") as stream:
        head = stream.read(8)
    if head.startswith(_PROGRAM_MAGIC):
        yield Problem(where, "a program by its first bytes", "remove it")
    if not _PICKLES.fullmatch(path.name) and _is_pickle(path, head):
        yield Problem(
            where,
            "a pickle by its content: loading it can run code",
            "publish it as safetensors or JSON and remove it",
        )
    elif status.st_size and is_text(path):
        yield from _audit_text(path.name, where, path.read_bytes())


def _is_pickle(path: Path, head: bytes) -> bool:
    """torch's zip (with a data.pkl), a bare pickle of protocol 2 to 5, or a NumPy file of Python
    objects."""
    if len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5:
        return True
    if head.startswith(b"\x93NUMPY"):
        with path.open("rb") as stream:
            return re.search(rb"'descr': *'\|?O", stream.read(256)) is not None
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(
                name.lower().endswith((".pkl", ".pickle", ".pth", ".pt"))
                for name in archive.namelist()
            )
    except (zipfile.BadZipFile, NotImplementedError, OSError):
        return False


def _audit_text(name: str, where: str, data: bytes) -> Iterator[Problem]:
    for line, kind in credentials(data):
        yield Problem(
            f"{where}:{line}",
            f"looks like {kind}",
            "remove it, and revoke it if it was ever public",
        )
    for line, what in local_paths(name, data):
        yield Problem(
            f"{where}:{line}", f"holds {what}", "write a repository name or a relative path instead"
        )


def _audit_safetensors(path: Path, where: str, size: int) -> Iterator[Problem]:
    """A file of this name must be one, with tensors, of the length that its header says; its
    metadata is text like any other."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = stream.read(length) if length <= _HEADER_LIMIT else b""
    try:
        tensors = json.loads(header)
        tensors.pop("__metadata__", None)
        end = (
            8
            + length
            + max((int(tensor["data_offsets"][1]) for tensor in tensors.values()), default=0)
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        yield Problem(
            where, "not a safetensors file" if size else "empty weights", "write the weights again"
        )
        return
    if not tensors:
        yield Problem(where, "empty weights: there is no tensor in it", "write the weights again")
    elif end != size:
        yield Problem(
            where,
            f"truncated or overlong weights: {size} bytes, the header says {end}",
            "write the weights again",
        )
    yield from _audit_text(path.name, where, header)


def _clashes(paths: Iterable[str]) -> Iterator[Problem]:
    """Files and folders that are one and the same where names do not keep case or Unicode form
    (Windows, macOS)."""
    seen: dict[str, str] = {}
    for path in sorted(paths):
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            name = "/".join(parts[:depth])
            other = seen.setdefault(unicodedata.normalize("NFC", name).casefold(), name)
            if other != name:
                yield Problem(
                    ascii(name),
                    f"differs from {other!a} only by case or Unicode form",
                    "rename one of the two",
                )
                break
