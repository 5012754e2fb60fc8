"""What is installed in an environment, read from outside it, against its lock."""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
from collections.abc import Sequence
from pathlib import Path

from hubkit.sdk.environment import normal

from .environment import Environment
from .locks import Lock


def differences(folder: Path, lock: Lock) -> list[str]:
    """Every package of `lock` that is missing from the environment in `folder`, or there in another
    version."""
    found = _found(folder)
    return [
        f"{name} is {found[name]}, the lock says {version}"
        if name in found
        else f"{name} {version} is not installed"
        for name, version in sorted(lock.versions.items())
        if name not in found or _plain(found[name], version) != _plain(version, version)
    ]


def versions_in(environment: Environment, names: Sequence[str]) -> dict[str, str]:
    """The versions of the named distributions there; empty unless all of them are seen."""
    if environment.python is None:
        found = {}
        for name in names:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                found[name] = importlib.metadata.version(name)
    else:
        there = _found(environment.interpreter.parent.parent)
        found = {name: there[normal(name)] for name in names if normal(name) in there}
    return found if found.keys() == set(names) else {}


def _found(folder: Path) -> dict[str, str]:
    places = [str(path) for path in folder.glob("lib*/python*/site-packages")]
    return {
        normal(one.metadata["Name"]): one.version
        for one in importlib.metadata.distributions(path=places)
    }


def _plain(version: str, wanted: str) -> str:
    """For comparing: 1.0 is 1.0.0 (PEP 440), and a local build such as 2.13.0+cpu is 2.13.0 unless
    the lock names the build."""
    public = version if "+" in wanted else version.partition("+")[0]
    return re.sub(r"(\.0)+$", "", public.lower())
