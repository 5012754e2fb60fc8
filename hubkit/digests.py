"""sha256 of files, remembered by (size, mtime, inode) so that a file is hashed once and not on
every plan."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .sdk import json_text

_BLOCK = 1 << 22
_SHA256 = re.compile("[0-9a-f]{64}")


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def of_json(value: Any) -> str:
    """The digest of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    ).hexdigest()


def stamp(path: Path) -> str:
    """What changes when a file's content does, as far as the file system tells:
    `size-mtime_ns-inode`."""
    stat = path.stat()
    return f"{stat.st_size}-{stat.st_mtime_ns}-{stat.st_ino}"


class FileDigests:
    """A cache of digests in one JSON file. Call `save` when done; losing the cache, or entries of
    it that are damaged, costs only time."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._known: dict[str, list[str]] = {}
        try:
            read = json_text.load(cache)
        except (OSError, ValueError):
            return
        if isinstance(read, dict):
            self._known = {key: entry for key, entry in read.items() if _is_entry(entry)}

    def sha256(self, path: Path) -> str:
        key, now = str(path.resolve()), stamp(path)
        found = self._known.get(key)
        if found is None or found[0] != now:
            found = self._known[key] = [now, sha256(path)]
        return found[1]

    def remember(self, folder: Path, digests: Mapping[str, str]) -> None:
        """Takes digests that were computed while the files below `folder` were written."""
        for name, digest in digests.items():
            path = folder / name
            self._known[str(path.resolve())] = [stamp(path), digest]

    def tree(self, folder: Path, names: Iterable[str] | None = None) -> dict[str, str]:
        """Path (POSIX, relative) to digest for `names`, or for every regular file below `folder`
        except in `.git`."""
        if names is None:
            names = files_below(folder)
        return {name: self.sha256(folder / name) for name in sorted(names)}

    def save(self) -> None:
        lasting = {
            key: value for key, value in self._known.items() if ".partial" + os.sep not in key
        }
        try:
            write_atomically(self._cache, json.dumps(lasting), durable=False)
        except OSError:  # a full disk stops the release where it needs the room, not here
            return


def _is_entry(entry: Any) -> bool:
    return (
        isinstance(entry, list)
        and len(entry) == 2
        and all(isinstance(part, str) for part in entry)
        and _SHA256.fullmatch(entry[1]) is not None
    )


def write_atomically(path: Path, text: str, *, durable: bool = True) -> None:
    """Puts a file on the disk whole or not at all; a kill leaves at most `.NAME.*.partial` beside
    it. One that is not `durable` may be lost with the machine's power."""
    with tempfile.NamedTemporaryFile(
        "w",
        encoding="utf-8",
        dir=path.parent,
        prefix=f".{path.name}.",
        suffix=".partial",
        delete=False,
    ) as out:
        try:
            out.write(text)
            out.flush()
            if durable:
                os.fsync(out.fileno())
            Path(out.name).replace(path)
        except BaseException:
            Path(out.name).unlink()
            raise


def files_below(folder: Path) -> list[str]:
    """Every file below `folder` as a POSIX path, sorted; `.git`, `.hubkit` and `__pycache__`
    folders are left out."""
    found = []
    for root, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if f not in (".git", ".hubkit", "__pycache__")]
        found += [Path(root, name).relative_to(folder).as_posix() for name in files]
    return sorted(found)
