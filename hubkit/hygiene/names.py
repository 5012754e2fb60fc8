"""What a file's name alone tells: credentials, caches, hidden files, pickles, programs, clashes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from ..files.tree import path_problem
from ..sdk.family import Problem
from . import pickles
from .secrets import secrets

_CREDENTIALS = re.compile(
    r"\.env(\..*)?|\.netrc|_netrc|\.git-credentials|\.npmrc|\.pypirc|\.pgpass|kaggle\.json"
    r"|id_(rsa|dsa|ecdsa|ed25519)|credentials(\.json)?|.*\.(pem|key|p12|pfx|kdbx|ppk|jks)",
    re.IGNORECASE,
)
_PROGRAMS = re.compile(r".*\.(exe|dll|so|so\.\d+|dylib|pyc|pyo|pyd)", re.IGNORECASE)
_VISIBLE = re.compile(r"\.gitattributes|\.eval_results/[^/]+\.yaml")
"""Hugging Face reads evaluation results from .eval_results."""
_CACHE = "__pycache__"


def shown(path: str) -> str:
    """The name as messages write it, also one that is not UTF-8; without a credential in it."""
    return _hidden(path).encode(errors="backslashreplace").decode()


def _hidden(path: str) -> str:
    data = path.encode(errors="surrogateescape")
    for start, end, _ in reversed(list(secrets(data))):
        data = data[:start] + b"***" + data[end:]
    return data.decode(errors="surrogateescape")


def outside_release(path: str) -> str | None:
    """The hidden folder or Python cache that holds `path`, to be removed as a whole."""
    parts = path.split("/")[:-1]
    for depth, part in enumerate(parts, 1):
        if part == _CACHE or (part.startswith(".") and part != ".eval_results"):
            return "/".join(parts[:depth])
    return None


def folder_problem(path: str) -> Problem:
    """The finding on a folder that `outside_release` named."""
    if path.endswith(_CACHE):
        return Problem(path, "Python's cache", "remove the folder")
    return Problem(path, "a hidden folder", "remove it")


def name_problems(path: str) -> Iterator[Problem]:
    where = shown(path)
    if found := next(secrets(path.encode(errors="surrogateescape")), None):
        yield Problem(
            where,
            f"its name looks like {found[2]}",
            "rename it, and revoke what the name holds if it was ever public",
        )
    if problem := path_problem(path):
        yield Problem(ascii(_hidden(path)), problem, "rename the file to plain characters")
    name = path.rsplit("/", 1)[-1]
    if _CREDENTIALS.fullmatch(name):
        yield Problem(
            where,
            "a file that holds credentials",
            "remove it; if it was ever public, revoke what is in it",
        )
    elif any(part.startswith(".") for part in path.split("/")) and not _VISIBLE.fullmatch(path):
        yield Problem(
            where,
            "a hidden file",
            "remove it: a release has no hidden files but its .gitattributes",
        )
    if pickles.by_suffix(name):
        yield Problem(
            where,
            "a pickle by its suffix: loading it can run code",
            "publish the weights as safetensors and remove it",
        )
    elif _PROGRAMS.fullmatch(name):
        yield Problem(where, "a program by its suffix", "remove it")


def clashes(paths: Iterable[str]) -> Iterator[Problem]:
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
                    ascii(_hidden(name)),
                    f"differs from {_hidden(other)!a} only by case or Unicode form",
                    "rename one of the two",
                )
                break
