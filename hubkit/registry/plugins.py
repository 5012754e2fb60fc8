"""The plugins that are installed: entry points of the group `hubkit.plugins`, each checked against
its contract.

A plugin that does not load, breaks its contract or clashes with another is kept in `broken` with
the reason, and does not affect the others.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ..sdk import KINDS, PluginError, Requirements, UsageError
from ..sdk.excerpt import did_you_mean
from ..sdk.install import DISTRIBUTION, refuse_another
from . import first_import

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

GROUP = "hubkit.plugins"
_LIST = "`hubkit plugins` lists what is installed"


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
class _Found:
    """An entry point: `plugin` is its class when it could be loaded, `reason` why it cannot be
    used."""

    entry: EntryPoint
    plugin: Any = None
    reason: str = ""

    def row(self) -> Row:
        distribution = self.entry.dist
        named, version = _named(distribution)
        return Row(
            kind=str(getattr(self.plugin, "kind", "")),
            name=str(getattr(self.plugin, "name", self.entry.name)),
            version=version,
            distribution=named,
            sdk=str(getattr(self.plugin, "sdk", "")),
            state=f"broken: {self.reason}" if self.reason else "ok",
            entry=self.entry.value,
            environment=_environment(self.plugin),
            location=_location(distribution) if distribution else "",
        )


class Plugins:
    """Plugins by kind and name."""

    def __init__(self, found: Sequence[_Found]) -> None:
        self._found = found
        usable = [one.plugin() for one in found if not one.reason]
        self._plugins = {
            (plugin.kind, plugin.name): plugin
            for plugin in sorted(usable, key=lambda one: (one.kind, one.name))
        }

    def rows(self) -> tuple[Row, ...]:
        """Every plugin, broken ones too, by kind and name."""
        return _sorted(self._found)

    @property
    def broken(self) -> tuple[Row, ...]:
        return _sorted(one for one in self._found if one.reason)

    def of(self, kind: str) -> Mapping[str, Any]:
        """The usable plugins of a kind, by name."""
        return {
            name: plugin for (its_kind, name), plugin in self._plugins.items() if its_kind == kind
        }

    def get(self, kind: str, name: str) -> Any:
        """The plugin of that kind and name.

        Raises:
            PluginError: it is installed but broken.
            UsageError: there is none; names what there is.
        """
        if kind not in KINDS:
            raise UsageError(
                f"there is no kind of plugin {kind!r}{did_you_mean(kind, KINDS)}",
                f"kinds are {', '.join(KINDS)}",
            )
        if (kind, name) in self._plugins:
            return self._plugins[kind, name]
        for row in self.broken:
            if row.name == name and row.kind in (kind, ""):
                raise PluginError(
                    f"the {kind} {name!r} of {row.distribution or 'an unknown distribution'} is "
                    f"{row.state}",
                    _LIST,
                )
        raise UsageError(
            f"there is no {kind} {name!r}", _suggestion(kind, name, list(self.of(kind)))
        )

    def family_of(self, config: Mapping[str, Any]) -> Any:
        """The one family that recognises a config.json.

        Raises:
            UsageError: none or more than one does.
        """
        families, failed = [], []
        for name, family in self.of("family").items():
            try:
                if family.recognises(config):
                    families.append(family)
            except Exception as error:
                failed.append(f"{name} failed on it ({type(error).__name__}: {error})")
        if len(families) == 1:
            return families[0]
        if families:
            names = ", ".join(family.name for family in families)
            raise UsageError(
                f"config.json is of several families: {names}",
                "uninstall the plugin that claims it wrongly",
            )
        known = ", ".join(self.of("family")) or "none"
        said = "; ".join([f"families installed: {known}", *failed])
        message = (
            "no family recognises this config.json (architectures "
            f"{config.get('architectures')!r}; {said})"
        )
        raise UsageError(
            message, "name the official model's folder, or install the plugin of its family"
        )

    def hub_of(self, destination: str) -> tuple[Any, str]:
        """The hub for `SCHEME:TARGET`, and the target.

        Raises:
            UsageError: no such scheme; names those there are.
        """
        schemes = {scheme: hub for hub in self.of("hub").values() for scheme in hub.schemes}
        scheme, colon, target = destination.partition(":")
        if colon and target and scheme in schemes:
            return schemes[scheme], target
        forms = ", ".join(f"{name}:TARGET" for name in schemes) or "none (no hub is installed)"
        near = did_you_mean(scheme, schemes) if colon else ""
        raise UsageError(f"not a destination: {destination!r}{near}", f"write one of: {forms}")


@cache
def plugins() -> Plugins:
    """The plugins of this interpreter, loaded once.

    Raises:
        EnvironmentFailure: another project of the same name is installed.
    """
    from importlib.metadata import entry_points

    refuse_another()
    return load(entry_points(group=GROUP))


def load(entries: Iterable[EntryPoint]) -> Plugins:
    """Loads and checks each entry point."""
    found = _unique([_load(entry) for entry in entries])
    clashes = _clashes(found)
    return Plugins(
        [_Found(one.entry, one.plugin, one.reason or clashes.get(id(one), "")) for one in found]
    )


def _load(entry: EntryPoint) -> _Found:
    from ..sdk.contract import problems

    if not _bundled(entry) and (reason := first_import.problem(entry)):
        return _Found(entry, reason=f"{entry.value} {reason}")
    try:
        with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
            plugin = entry.load()
        wrong = problems(plugin)
    except Exception as error:
        return _Found(entry, reason=f"{entry.value} does not load: {type(error).__name__}: {error}")
    return _Found(entry, plugin, "; ".join(wrong))


def _environment(plugin: Any) -> str:
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


def _bundled(entry: EntryPoint) -> bool:
    return _named(entry.dist)[0] == DISTRIBUTION


@cache
def _named(distribution: Distribution | None) -> tuple[str, str]:
    """Name and version. importlib.metadata parses the whole METADATA, README included, each time it
    is asked for one of them."""
    return (distribution.name, distribution.version) if distribution else ("", "")


def _sorted(found: Iterable[_Found]) -> tuple[Row, ...]:
    rows = (one.row() for one in found)
    return tuple(sorted(rows, key=lambda row: (row.kind, row.name, row.distribution)))


def _unique(found: Sequence[_Found]) -> list[_Found]:
    """Without repeats: a bundled plugin that is also installed by itself is one and the same
    class."""
    seen: dict[object, _Found] = {}
    for one in found:
        seen.setdefault(one.plugin if isinstance(one.plugin, type) else one.entry, one)
    return list(seen.values())


def _clashes(found: Sequence[_Found]) -> dict[int, str]:
    """Why plugins that claim one kind and name, or one hub scheme, cannot be used, by id."""
    claims: dict[tuple[str, str], list[_Found]] = defaultdict(list)
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


def _suggestion(kind: str, name: str, names: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return f"{meant}installed: {', '.join(names) or f'no {kind} at all'}; {_LIST}"
