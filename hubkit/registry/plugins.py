"""The plugins that are installed: entry points, each checked against its contract.

They are imported when they are first asked for, by kind or by kind and name: those in the group of
their kind, such as `hubkit.dataset`, and all of `hubkit.plugins`, which tells neither. A plugin
that does not load, breaks its contract or clashes with another is kept in `broken` with the reason,
and does not affect the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from ..sdk.errors import PluginError, UsageError
from ..sdk.excerpt import did_you_mean
from ..sdk.install import refuse_another
from ..sdk.kinds import KINDS
from .entries import GROUP, GROUPS, Found, Row, installed, load, settled
from .entry_points import EntryPoint

_LIST = "`hubkit plugins` lists what is installed"


class Plugins:
    """Plugins by kind and name."""

    def __init__(self, entries: Iterable[EntryPoint]) -> None:
        self._entries = tuple(entries)
        self._loaded: dict[EntryPoint, Found] = {}
        self._usable: dict[tuple[str, str], Mapping[str, Any]] = {}

    def rows(self) -> tuple[Row, ...]:
        """Every plugin, broken ones too, by kind and name."""
        rows = (one.row() for one in self._settled(self._entries))
        return tuple(sorted(rows, key=lambda row: (row.kind, row.name, row.distribution)))

    @property
    def broken(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows() if row.state != "ok")

    def of(self, kind: str, name: str = "") -> Mapping[str, Any]:
        """The usable plugins of a kind, by name; with a `name`, no others need be imported."""
        if (kind, name) not in self._usable:
            found = self._settled(
                entry
                for entry in self._entries
                if entry.group == GROUP
                or (entry.group == GROUPS[kind] and name in ("", entry.name))
            )
            usable = [one.plugin() for one in found if not one.reason and one.plugin.kind == kind]
            by_name = {one.name: one for one in sorted(usable, key=lambda one: one.name)}
            self._usable[kind, name] = by_name
        return self._usable[kind, name]

    def _settled(self, entries: Iterable[EntryPoint]) -> list[Found]:
        chosen = list(entries)
        for entry in chosen:
            if entry not in self._loaded:
                self._loaded[entry] = load(entry)
        return settled([self._loaded[entry] for entry in chosen])

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
        found = self.of(kind, "" if kind == "hub" else name)  # hubs share their schemes
        if name in found:
            return found[name]
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
        """The one family that recognises a config.json; a fallback counts where no other does.

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
        own = [family for family in families if not getattr(family, "fallback", False)]
        if len(families := own or families) == 1:
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
    """The plugins of this interpreter.

    Raises:
        EnvironmentFailure: another project of the same name is installed.
    """
    refuse_another()
    return Plugins(installed())


def _suggestion(kind: str, name: str, names: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=1)
    meant = f"did you mean {near[0]!r}? " if near else ""
    return f"{meant}installed: {', '.join(names) or f'no {kind} at all'}; {_LIST}"
