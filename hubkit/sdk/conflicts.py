"""Installed distributions whose requirements are contradicted, among those that a plugin reaches.

It reads metadata only. Requirements are understood by `packaging`, or by the copy that pip carries;
an interpreter with neither is not checked.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator
from typing import Any

from .environment import Requirements, by_module, normal


def conflicts(requirements: Requirements) -> tuple[str, ...]:
    """`peft 0.21.2 requires torch>=2.4, and 2.1 is installed`: one line for each contradiction,
    sorted."""
    parse = _parser()
    if parse is None:
        return ()
    installed = {
        normal(one.metadata["Name"]): one
        for one in importlib.metadata.distributions()
        if one.metadata["Name"]
    }
    distributions, found, seen = by_module(), set(), set()
    roots = [
        name
        for module, _ in requirements.modules
        for name in distributions.get(module.partition(".")[0], ())
    ]
    waiting = [(normal(name), "") for name in roots]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen or name not in installed:
            continue
        seen.add((name, extra))
        here = installed[name]
        for wanted in _wanted(parse, here.requires or [], extra):
            other = normal(wanted.name)
            waiting += [(other, one) for one in ("", *wanted.extras)]
            version = installed[other].version if other in installed else None
            if version is None:
                found.add(
                    f"{name} {here.version} requires {wanted.name}{wanted.specifier}, which is not "
                    "installed"
                )
            elif not wanted.specifier.contains(version, prereleases=True):
                found.add(
                    f"{name} {here.version} requires {wanted.name}{wanted.specifier}, and "
                    f"{version} is installed"
                )
    return tuple(sorted(found))


def _wanted(parse: Any, lines: list[str], extra: str) -> Iterator[Any]:
    """The requirements among `lines` that hold on this machine for `extra` ("" for none)."""
    for line in lines:
        try:
            wanted = parse(line)
        except Exception:  # packages of before PEP 508 are on the index still
            continue
        if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
            yield wanted


def _parser() -> Any:
    for name in ("packaging.requirements", "pip._vendor.packaging.requirements"):
        try:
            return importlib.import_module(name).Requirement
        except ImportError:
            continue
    return None
