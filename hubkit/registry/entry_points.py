"""The entry points that distributions declare, read from the files that pip writes (PyPA's entry
points specification). importlib.metadata reads them too, and takes as long to import as all of
hubkit that `check` needs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_INFO = (".dist-info", ".egg-info")


@dataclass(frozen=True)
class EntryPoint:
    """A name in a group and its `module:attribute`; `info` is the folder of its distribution's
    metadata, None where that is not known."""

    name: str
    value: str
    group: str
    info: Path | None = None

    @property
    def module(self) -> str:
        return self.value.partition(":")[0].strip()

    @property
    def project(self) -> str:
        """The distribution's name in its normal form (PEP 503), or empty."""
        return _project(self.info.name) if self.info else ""

    @property
    def dist(self) -> Distribution | None:
        from importlib.metadata import Distribution

        return Distribution.at(self.info) if self.info else None

    def load(self) -> Any:
        """Imports it; raises what that raises."""
        attribute = self.value.partition(":")[2].strip()
        return attrgetter(attribute)(import_module(self.module))


def entry_points(prefix: str, path: Sequence[str] | None = None) -> Iterator[EntryPoint]:
    """Those of the groups that begin with `prefix`, of the distributions in the folders of `path`
    (sys.path). Of two distributions of one name the first counts, as for imports."""
    seen: set[str] = set()
    for folder in sys.path if path is None else path:
        try:
            with os.scandir(folder or os.curdir) as found:
                names = [entry.name for entry in found if entry.name.endswith(_INFO)]
        except OSError:
            continue
        for name in sorted(names):
            if _project(name) not in seen:
                seen.add(_project(name))
                yield from _declared(Path(folder, name), prefix)


def _project(info: str) -> str:
    name = info.rpartition(".")[0].partition("-")[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def _declared(info: Path, prefix: str) -> Iterator[EntryPoint]:
    try:
        text = (info / "entry_points.txt").read_text("utf-8")
    except (OSError, ValueError):
        return
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            group = line.strip("[] ")
        elif group.startswith(prefix) and line[:1] not in ("#", ";"):
            name, equals, value = line.partition("=")
            if equals:
                yield EntryPoint(name.strip(), value.partition("[")[0].strip(), group, info)
