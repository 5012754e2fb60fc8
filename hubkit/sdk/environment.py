"""What a worker's interpreter must offer, and the check for it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath


@dataclass(frozen=True)
class Requirements:
    """`modules` maps an importable module to the least version of its distribution ("" for any);
    `extra` is the hubkit extra that installs them ("" for none: they cannot stand beside hubkit's
    own). `locks` is the folder in the plugin's package that holds its lock files ("" for none: then
    it runs only in an environment that the user names). `probe` is a function of the plugin's
    package, `module:function`, that runs a tiny operation after the imports and raises when the
    environment cannot do it ("" for none)."""

    modules: tuple[tuple[str, str], ...]
    extra: str
    locks: str = ""
    probe: str = ""


@dataclass(frozen=True)
class Health:
    """`versions` of what was found ("" for a module of no distribution); `missing` says, module by
    module, what is not there or too old, and why. `conflicts` are installed packages whose
    requirements others contradict: it may work all the same."""

    python: str
    versions: dict[str, str]
    missing: tuple[str, ...]
    conflicts: tuple[str, ...] = ()


def normal(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    import re

    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(version: str) -> tuple[int, ...]:
    parts = []
    for part in version.split("+")[0].split("."):
        digits = "".join(c for c in part if c.isdigit())
        if not digits:
            break
        parts.append(int(digits))
    return tuple(parts)


def by_module() -> Mapping[str, list[str]]:
    """Names of distributions by top-level module. `packages_distributions` of Python 3.10 knows
    only those with a top_level.txt, which newer builders do not write. Read once for each sys.path:
    torch alone lists 15,000 files."""
    return _by_module(tuple(sys.path))


@cache
def _by_module(path: tuple[str, ...]) -> Mapping[str, list[str]]:
    from importlib.metadata import distributions

    found: dict[str, list[str]] = {}
    for one in distributions():
        for name in (one.read_text("top_level.txt") or "").split() or _top_levels(one.files or ()):
            found.setdefault(name, []).append(one.metadata["Name"])
    return found


def _top_levels(files: Iterable[PurePath]) -> list[str]:
    return sorted(
        {file.parts[0].partition(".")[0] for file in files if file.suffix in (".py", ".so", ".pyd")}
    )


def check(requirements: Requirements, *, probe: bool = True, imports: bool = True) -> Health:
    """Imports each module in this interpreter, compares versions and, unless told not to, runs the
    probe. Without `imports` it only looks whether the modules are there, which takes no time."""
    import importlib
    import importlib.metadata
    import importlib.util
    import platform

    distributions = by_module()
    versions, missing = {}, []
    for module, least in requirements.modules:
        try:
            if imports:
                importlib.import_module(module)
            elif importlib.util.find_spec(module) is None:
                raise ModuleNotFoundError(f"No module named {module!r}")
        except Exception as error:
            missing.append(f"{module}: {type(error).__name__}: {error}")
            continue
        names = distributions.get(module.partition(".")[0])
        versions[module] = importlib.metadata.version(names[0]) if names else ""
        if least and _numbers(versions[module]) < _numbers(least):
            missing.append(
                f"{module} {versions[module] or 'of unknown version'} is older than {least}"
            )
    if imports and probe and requirements.probe and not missing:
        try:
            name, _, function = requirements.probe.partition(":")
            getattr(importlib.import_module(name), function)()
        except Exception as error:
            missing.append(f"{requirements.probe}: {type(error).__name__}: {error}")
    return Health(platform.python_version(), versions, tuple(missing))
