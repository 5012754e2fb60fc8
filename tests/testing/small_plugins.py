"""Small plugins as source, and how a test installs them."""

from __future__ import annotations

from collections.abc import Callable

from hubkit.registry.plugins import Plugins

DATASET = """
    from dataclasses import dataclass
    from hubkit.sdk import Terms

    @dataclass(frozen=True)
    class Options:
        {options}

    class Data:
        kind, name, sdk, Options = {kind!r}, {plugin!r}, {sdk!r}, {Options}
        def records(self, source{extra}): yield
        def terms(self, source, options): return Terms()
"""


GOOD = {
    "kind": "dataset",
    "plugin": "data",
    "sdk": "1.0",
    "Options": "Options",
    "options": "pass",
    "extra": ", options",
}


Install = Callable[..., Plugins]


def dataset(**changes: str) -> tuple[str, str]:
    return DATASET.format(**{**GOOD, **changes}), "Data"
