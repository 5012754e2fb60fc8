"""Packages whose names are imported when they are first asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package: `homes` has the names that each of its modules gives, by
    module."""

    def __getattr__(name: str) -> Any:
        home = next((home for home, names in homes.items() if name in (home, *names.split())), "")
        if not home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f".{home}", package)
        if name == home:
            return module
        found = getattr(module, name)
        setattr(sys.modules[package], name, found)
        return found

    return __getattr__
