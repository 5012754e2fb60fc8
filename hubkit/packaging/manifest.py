"""The manifest: every file of a release with its size, sha256 and whether Git LFS keeps it;
manifest.json in the release."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any

from ..digests import sha256
from ..files.tree import path_problem, walk
from ..sdk import json_text
from ..sdk.codec import decode, encode
from ..sdk.errors import RefusedError, UsageError
from ..sdk.excerpt import shown
from ..sdk.hub import ReleaseFile
from .lfs_threshold import LFS_SUFFIXES, uses_lfs

MANIFEST = "manifest.json"
GITATTRIBUTES = ".gitattributes"
SCHEMA = 1
_READ_LIMIT = 64 * 1024 * 1024
_TOLD = 50  # problems in one message
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Manifest:
    """`created` is an ISO 8601 date or time; `files` are sorted by path and leave out manifest.json
    itself."""

    name: str
    tag: str
    created: str
    files: tuple[ReleaseFile, ...]

    def to_bytes(self) -> bytes:
        """manifest.json: the same manifest gives the same bytes."""
        data = {"schema": SCHEMA, **encode(self)}
        return (json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()

    def released(self) -> tuple[ReleaseFile, ...]:
        """Every file that is published: `files` and manifest.json, sorted by path."""
        data = self.to_bytes()
        own = ReleaseFile(
            MANIFEST, len(data), hashlib.sha256(data).hexdigest(), uses_lfs(MANIFEST, len(data))
        )
        return tuple(sorted((*self.files, own), key=lambda file: file.path))

    def write(self, folder: Path) -> Path:
        """Writes folder/manifest.json in one step and returns its path."""
        path, partial = folder / MANIFEST, folder / f".{MANIFEST}.partial"
        partial.write_bytes(self.to_bytes())
        return partial.replace(path)


def write_gitattributes(folder: Path) -> Path:
    """Writes folder/.gitattributes for the files that are there, replacing another one; do this
    before `build`.

    `* -text` keeps a clone's bytes those of the manifest where the user converts line ends.
    """
    lines = ["* -text", *(_lfs_line(f"*{suffix}") for suffix in LFS_SUFFIXES)]
    for path, size in release_files(folder):
        if uses_lfs(path, size) and not path.endswith(LFS_SUFFIXES):
            lines.append(
                _lfs_line("/" + re.sub(r"([*?\[\]])", r"\\\1", path).replace(" ", "[[:space:]]"))
            )
    target = folder / GITATTRIBUTES
    target.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return target


def _lfs_line(pattern: str) -> str:
    return f"{pattern} filter=lfs diff=lfs merge=lfs -text"


def build(
    folder: Path, *, name: str, tag: str, created: str, digests: Mapping[str, str]
) -> Manifest:
    """The manifest of what is in `folder`, `.git` and manifest.json left out.

    `digests` maps paths to sha256 that are already known; those files are not read, all others are
    hashed.

    Raises:
        RefusedError: symbolic links, special files or names that cannot be published, all of them.
        UsageError: a digest for a file that is not there, or a value that is no digest or no date.
    """
    sizes = dict(release_files(folder))
    wrong = [
        f"{path}: {'not a sha256' if path in sizes else 'no such file'}"
        for path, digest in digests.items()
        if path not in sizes or not _SHA256.fullmatch(digest)
    ]
    if wrong:
        raise UsageError(
            f"digests that do not fit {folder.name}: {'; '.join(wrong)}",
            "merge again, then package",
        )
    files = (
        ReleaseFile(path, size, digests.get(path) or sha256(folder / path), uses_lfs(path, size))
        for path, size in sizes.items()
    )
    manifest = Manifest(name, tag, created, tuple(files))
    _raise(_problems(manifest), "the release")
    return manifest


def release_files(folder: Path) -> Iterator[tuple[str, int]]:
    """Path and size of each file of a release folder, sorted by path; `.git` and manifest.json left
    out.

    Raises:
        RefusedError: names everything that is neither a plain file nor a folder, or has a name that
            cannot be published.
    """
    found, refused = [], []
    for path, entry in walk(folder):
        problem = path_problem(path)
        if problem or entry.is_symlink() or not entry.is_file():
            refused.append(f"{path!a}: {problem or 'not a plain file'}")
        elif path not in (MANIFEST, f".{MANIFEST}.partial"):
            found.append((path, entry.stat().st_size))
    if refused:
        raise RefusedError(
            f"{folder.name} cannot be released: {'; '.join(refused)}",
            "remove or rename the named files",
        )
    yield from sorted(found)


def read(folder: Path) -> Manifest:
    """The manifest of a release folder, checked: it may come from anywhere.

    Raises:
        UsageError: no manifest.json, or one that is not valid; all problems at once.
    """
    path = folder / MANIFEST
    if path.is_symlink() or not path.is_file():
        raise UsageError(f"{folder} has no {MANIFEST}", "run `hubkit track` on the folder first")
    try:
        data: Any = json_text.load(path, _READ_LIMIT)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}", "make it again with `hubkit track`"
        ) from None
    except ValueError as error:
        raise UsageError(
            f"{path} is not valid JSON: {error}", "make it again with `hubkit track`"
        ) from None
    schema = data.pop("schema", None) if isinstance(data, dict) else None
    if schema != SCHEMA:
        raise UsageError(
            f"{path}: schema {shown(schema)} is not {SCHEMA}",
            "use the hubkit version that wrote it",
        )
    manifest = decode(Manifest, data, str(path))
    _raise(_problems(manifest), str(path))
    return dataclasses.replace(
        manifest, files=tuple(sorted(manifest.files, key=lambda file: file.path))
    )


def _raise(problems: Iterable[str], where: str) -> None:
    if found := "; ".join(islice(problems, _TOLD)):
        raise UsageError(
            f"{where}: {found}",
            "correct the named values, or make the manifest again with `hubkit track`",
        )


def _problems(manifest: Manifest) -> Iterator[str]:
    try:
        utc_seconds(manifest.created)
    except ValueError:
        yield f"created {shown(manifest.created)} is not an ISO date"
    seen: set[str] = set()
    for file in manifest.files:
        if problem := path_problem(file.path):
            yield f"{file.path!a}: {problem}"
        if file.path == MANIFEST:
            yield f"{MANIFEST} lists itself"
        if file.path in seen:
            yield f"{file.path!a} is listed twice"
        if file.size < 0:
            yield f"{file.path!a}: size {file.size} is negative"
        if not _SHA256.fullmatch(file.sha256):
            yield f"{file.path!a}: {shown(file.sha256)} is not a sha256"
        seen.add(file.path)


def utc_seconds(date: str) -> int:
    """Seconds since 1970 for an ISO 8601 date or time; without an offset it is UTC. ValueError for
    anything else."""
    # datetime.fromisoformat takes "Z" only from Python 3.11 on
    moment = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", date))
    return int((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp())


def release_date() -> str:
    """Now, or the moment that SOURCE_DATE_EPOCH names (reproducible-builds.org), as
    `2026-01-31T12:00:00Z`. Raises UsageError when it names none."""
    stated = os.environ.get("SOURCE_DATE_EPOCH") or time.time()
    try:
        moment = datetime.fromtimestamp(int(float(stated)), timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"SOURCE_DATE_EPOCH is {shown(stated)}, not a number of seconds since 1970",
            "correct the variable, or unset it",
        ) from None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
