"""What a hub has, against the manifest: the proof that a release arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..sdk.text import one_line

_LINES = 200


class ListedFile(Protocol):
    """A file of a manifest or of a hub's listing; `sha256` is empty where a hub does not tell."""

    @property
    def path(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True)
class Difference:
    path: str
    expected: str
    found: str


@dataclass(frozen=True)
class Comparison:
    """Paths, sorted. `unknown`: the size is right and the hub does not tell the sha256, so only a
    download can."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]
    different: tuple[Difference, ...]
    unknown: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Every released file is there with its sha256, and nothing else."""
        return not (self.missing or self.extra or self.different or self.unknown)

    @property
    def problems(self) -> tuple[str, ...]:
        """One line a finding, for people."""
        lines = (
            *(f"{one_line(path)}: missing at the hub" for path in self.missing),
            *(f"{one_line(path)}: at the hub, not in the manifest" for path in self.extra),
            *(
                f"{one_line(item.path)}: the manifest says {item.expected}, "
                f"the hub has {item.found}"
                for item in self.different
            ),
            *(f"{one_line(path)}: the hub does not tell its sha256" for path in self.unknown),
        )
        left = len(lines) - _LINES
        return (*lines[:_LINES], f"and {left:,} more") if left > 0 else lines


def compare(released: Sequence[ListedFile], remote: Sequence[ListedFile]) -> Comparison:
    """Compares what is released (manifest.json included) with what a hub, or another release,
    has."""
    expected = {file.path: file for file in released}
    found = {file.path: file for file in remote}
    different, unknown = [], []
    for path in sorted(expected.keys() & found.keys()):
        ours, theirs = expected[path], found[path]
        if ours.size != theirs.size:
            different.append(Difference(path, f"{ours.size} bytes", f"{theirs.size} bytes"))
        elif not theirs.sha256:
            unknown.append(path)
        elif ours.sha256 != theirs.sha256:
            different.append(Difference(path, f"sha256 {ours.sha256}", f"sha256 {theirs.sha256}"))
    return Comparison(
        missing=tuple(sorted(expected.keys() - found.keys())),
        extra=tuple(sorted(found.keys() - expected.keys())),
        different=tuple(different),
        unknown=tuple(unknown),
    )
