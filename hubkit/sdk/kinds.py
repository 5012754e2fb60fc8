"""The kinds of plugin, each with its Protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

_PROTOCOLS = {
    "family": "ModelFamily",
    "dataset": "DatasetAdapter",
    "trainer": "Trainer",
    "engine": "Engine",
    "exporter": "Exporter",
    "metric": "Metric",
    "hub": "Hub",
}
"""Each in the module that is called as the kind is."""


class _Kinds(Mapping[str, type]):
    """A Protocol is imported when it is asked for."""

    def __getitem__(self, kind: str) -> type:
        found: type = getattr(import_module(f".{kind}", __package__), _PROTOCOLS[kind])
        return found

    def __contains__(self, kind: object) -> bool:
        return kind in _PROTOCOLS

    def __iter__(self) -> Iterator[str]:
        return iter(_PROTOCOLS)

    def __len__(self) -> int:
        return len(_PROTOCOLS)

    def __repr__(self) -> str:
        return repr(_PROTOCOLS)


KINDS: Mapping[str, type] = _Kinds()
