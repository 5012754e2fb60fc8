"""From an entry point to a class that was checked against its contract, or to why it cannot be
used."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ..sdk.install import DISTRIBUTION
from ..sdk.kinds import KINDS
from .entry_points import EntryPoint, entry_points

if TYPE_CHECKING:
    from importlib.metadata import Distribution

GROUP = "hubkit.plugins"
"""Of plugins of any kind, as SDK 1.0 had it: each has to be imported to know its kind."""
GROUPS = {kind: f"hubkit.{kind}" for kind in KINDS}
"""Of the plugins of each kind."""
_KIND_OF = {group: kind for kind, group in GROUPS.items()}


def installed(path: Sequence[str] | None = None) -> list[EntryPoint]:
    """The plugins' entry points in the folders of `path` (sys.path), none of them imported yet."""
    groups = (GROUP, *GROUPS.values())
    return [entry for entry in entry_points("hubkit.", path) if entry.group in groups]


def declared_kind(entry: EntryPoint) -> str:
    """The kind that the entry point's group says; empty where it does not."""
    return _KIND_OF.get(entry.group, "")


@dataclass(frozen=True)
class Row:
    """One plugin for a listing; `state` is `ok` or why it cannot be used. What is not known is
    empty.

    `entry` is its `module:Class`, `environment` where it can run (only trainers and engines have a
    choice), `location` the folder that its distribution was installed to or, when it is editable,
    comes from."""

    kind: str
    name: str
    version: str
    distribution: str
    sdk: str
    state: str
    entry: str = ""
    environment: str = ""
    location: str = ""


@dataclass(frozen=True)
class Found:
    """An entry point: `plugin` is its class when it could be loaded, `reason` why it cannot be
    used."""

    entry: EntryPoint
    plugin: Any = None
    reason: str = ""

    def row(self) -> Row:
        distribution = self.entry.dist
        named, version = _named(distribution)
        return Row(
            kind=str(getattr(self.plugin, "kind", declared_kind(self.entry))),
            name=str(getattr(self.plugin, "name", self.entry.name)),
            version=version,
            distribution=named,
            sdk=str(getattr(self.plugin, "sdk", "")),
            state=f"broken: {self.reason}" if self.reason else "ok",
            entry=self.entry.value,
            environment=_environment(self.plugin),
            location=_location(distribution) if distribution else "",
        )


def load(entry: EntryPoint) -> Found:
    """Imports the class and checks it."""
    from ..sdk.contract import problems

    if entry.project != DISTRIBUTION:
        from . import first_import

        if reason := first_import.problem(entry):
            return Found(entry, reason=f"{entry.value} {reason}")
    try:
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
            plugin = entry.load()
        wrong = problems(plugin) or _misplaced(entry, plugin)
    except Exception as error:
        return Found(entry, reason=f"{entry.value} does not load: {type(error).__name__}: {error}")
    return Found(entry, plugin, "; ".join(wrong))


def settled(found: Sequence[Found]) -> list[Found]:
    """Each class once. Those that claim the same are broken, all of them."""
    once = _unique(found)
    clashes = _clashes(once)
    return [Found(one.entry, one.plugin, one.reason or clashes.get(id(one), "")) for one in once]


def _misplaced(entry: EntryPoint, plugin: Any) -> tuple[str, ...]:
    """In the group of a kind, the entry point tells what can be asked for without importing it."""
    if entry.group == GROUP:
        return ()
    if declared_kind(entry) != plugin.kind:
        return (
            f"its `kind` is {plugin.kind!r} and its entry point in the group {entry.group!r}: "
            f"move it to {GROUPS[plugin.kind]!r}",
        )
    if entry.name != plugin.name:
        return (
            f"its `name` is {plugin.name!r} and its entry point is called {entry.name!r}: give "
            "both one name",
        )
    return ()


def _environment(plugin: Any) -> str:
    from ..sdk.environment import Requirements

    requirements = getattr(plugin, "requirements", None)
    if not isinstance(requirements, Requirements):
        return ""
    return "current, python, locked" if requirements.locks else "current, python"


def _location(distribution: Distribution) -> str:
    """An editable installation says in direct_url.json (PEP 610) where its source is."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        origin = json.loads(distribution.read_text("direct_url.json") or "")
        if origin["dir_info"].get("editable"):
            return str(origin["url"]).removeprefix("file://")
    return str(distribution.locate_file(""))


@cache
def _named(distribution: Distribution | None) -> tuple[str, str]:
    """Name and version. importlib.metadata parses the whole METADATA, README included, each time it
    is asked for one of them."""
    return (distribution.name, distribution.version) if distribution else ("", "")


def _unique(found: Sequence[Found]) -> list[Found]:
    """Without repeats: a bundled plugin that is also installed by itself is one and the same class,
    and so is one that is declared in two groups."""
    seen: dict[object, Found] = {}
    for one in found:
        named = one.entry.name, one.entry.value
        seen.setdefault(one.plugin if isinstance(one.plugin, type) else named, one)
    return list(seen.values())


def _clashes(found: Sequence[Found]) -> dict[int, str]:
    """Why plugins that claim one kind and name, or one hub scheme, cannot be used, by id."""
    claims: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for one in found:
        if not one.reason:
            claims["name", f"{one.plugin.kind} {one.plugin.name}"].append(one)
            for scheme in getattr(one.plugin, "schemes", ()) if one.plugin.kind == "hub" else ():
                claims["scheme", scheme].append(one)
    return {
        id(one): (
            f"{' and '.join(rival.entry.value for rival in rivals)} both claim the {what} "
            f"{claimed!r}: uninstall one"
        )
        for (what, claimed), rivals in claims.items()
        if len(rivals) > 1
        for one in rivals
    }
