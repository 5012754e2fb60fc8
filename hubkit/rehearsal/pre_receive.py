"""The hub's pre-receive hook: `pre_receive.py OBJECTS LIMIT`, run by git by its path.

Refuses files over LIMIT bytes outside Git LFS, pointers whose objects (in OBJECTS, by sha256) were
not uploaded, and cards whose metadata hubs do not take.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_NONE = "0" * 40
_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-.*\n)*"
    rb"oid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)


def main(objects: Path, limit: int) -> int:
    commits = [line.split()[1] for line in sys.stdin if line.split()[1] != _NONE]
    problems = [*_problems(objects, limit, commits), *_cards(commits)] if commits else []
    for problem in problems[:20]:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0


def _git(*arguments: str, stdin: bytes) -> bytes:
    return subprocess.run(["git", *arguments], input=stdin, capture_output=True, check=True).stdout


def _problems(objects: Path, limit: int, commits: list[str]) -> Iterator[str]:
    listed = _git(
        "rev-list",
        "--objects",
        "--stdin",
        "--not",
        "--all",
        stdin="".join(f"{c}\n" for c in commits).encode(),
    )
    form = "--batch-check=%(objectname) %(objecttype) %(objectsize) %(rest)"
    pointers = {}
    for line in _git("cat-file", form, stdin=listed).splitlines():
        oid, kind, size, path = (*line.split(b" ", 3), b"")[:4]
        if kind == b"blob" and int(size) > limit:
            name = path.decode(errors="replace")
            yield (
                f"{name} has {int(size)} bytes: files over {limit} must be tracked with Git LFS "
                "(`git lfs migrate import`)"
            )
        elif kind == b"blob" and int(size) < 1024:
            pointers[oid] = path.decode(errors="replace")
    yield from _missing(objects, pointers)


def _cards(commits: list[str]) -> Iterator[str]:
    for commit in commits:
        try:
            card = _git("cat-file", "blob", f"{commit}:README.md", stdin=b"")
        except subprocess.CalledProcessError:
            continue
        sys.path.insert(0, str(Path(__file__).parents[2]))
        from hubkit.files import front_matter
        from hubkit.sdk.card_metadata import problems

        try:
            found = problems(front_matter.read(card.decode(errors="replace")))
        except ValueError as error:
            found = [str(error)]
        yield from (f"Invalid metadata in README.md: {problem}" for problem in found)


def _missing(objects: Path, candidates: dict[bytes, str]) -> Iterator[str]:
    data = _git("cat-file", "--batch", stdin=b"".join(oid + b"\n" for oid in candidates))
    at = 0
    for path in candidates.values():
        end = data.index(b"\n", at)
        size = int(data[at:end].split()[2])
        found = _POINTER.fullmatch(data[end + 1 : end + 1 + size])
        at = end + size + 2
        if not found:
            continue
        sha256, length = found[1].decode(), int(found[2])
        stored = objects / sha256[:2] / sha256[2:4] / sha256
        if not stored.is_file() or stored.stat().st_size != length:
            yield (
                f"{path}: its Git LFS object {sha256} has not been uploaded (`git lfs push --all`)"
            )


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), int(sys.argv[2])))
