"""A plugin's lock files: every package of its environment at an exact version, per variant, Python
and platform.

`locks/<variant>-py311-linux_x86_64.json` in the plugin's package; a variant is `cpu`, or `cu12`,
`cu13` and so on for the CUDA that the driver must offer:

    {"format": 1, "plugin": "xtuner", "variant": "cpu", "python": "3.11", "platform":
     "linux_x86_64", "steps": [{"packages": ["torch==2.13.0"]},
               {"packages": ["deepspeed==0.16.2"], "isolated": false, "variables": {"DS_BUILD_OPS":
               "0"}}]}

Every step is one `pip install --no-deps`: a lock lists everything, and packages whose metadata
contradict one another can stand side by side. `isolated: false` builds with what earlier steps
installed. `hashes`, `{"name": ["sha256:..."]}`, are for all packages of a step or none, as pip
demands.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubkit.sdk import UsageError, json_text
from hubkit.sdk.codec import decode, encode
from hubkit.sdk.environment import normal

FORMAT = 1
PACKAGE = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_PLAIN = {
    "plugin": re.compile(r"[a-z][a-z0-9_-]*"),
    "variant": re.compile(r"[a-z][a-z0-9]*"),
    "python": re.compile(r"3\.\d+"),
    "platform": re.compile(r"[a-z0-9]+_[A-Za-z0-9_]+"),
}


@dataclass(frozen=True)
class Step:
    """One `pip install --no-deps`; `packages` are `name==version`."""

    packages: tuple[str, ...]
    isolated: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if wrong := [package for package in self.packages if not PACKAGE.fullmatch(package)]:
            raise ValueError(f"not of the form name==version: {', '.join(wrong)}")
        if not self.packages:
            raise ValueError("a step without packages")
        if wrong := [name for name in self.variables if not _VARIABLE.fullmatch(name)]:
            raise ValueError(f"not the name of a variable: {', '.join(wrong)}")
        known = {normal(name) for name in self.hashes}
        if known and known != set(self.versions):
            raise ValueError("hashes must be there for every package of the step, or for none")
        if wrong := [
            one for several in self.hashes.values() for one in several if not _HASH.fullmatch(one)
        ]:
            raise ValueError(f"not a sha256 hash: {', '.join(wrong)}")

    @property
    def versions(self) -> dict[str, str]:
        """Versions by normal name."""
        pairs = (package.split("==") for package in self.packages)
        return {normal(name): version for name, version in pairs}

    @property
    def requirements(self) -> str:
        """As pip's requirements file."""
        by_name = {normal(name): hashes for name, hashes in self.hashes.items()}
        lines = (
            " ".join(
                [
                    package,
                    *(f"--hash={one}" for one in by_name.get(normal(package.split("==")[0]), ())),
                ]
            )
            for package in self.packages
        )
        return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Lock:
    plugin: str
    variant: str
    python: str
    platform: str
    steps: tuple[Step, ...]
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"format {self.format} is not known, this hubkit reads {FORMAT}")
        for name, pattern in _PLAIN.items():
            if not pattern.fullmatch(getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)!r}")
        counted = Counter(name for step in self.steps for name in step.versions)
        if several := [name for name, count in counted.items() if count > 1]:
            raise ValueError(f"locked more than once: {', '.join(several)}")

    @property
    def file_name(self) -> str:
        return f"{self.variant}-py{self.python.replace('.', '')}-{self.platform}.json"

    @property
    def packages(self) -> int:
        return sum(len(step.packages) for step in self.steps)

    @property
    def versions(self) -> dict[str, str]:
        """Versions by normal name."""
        return {name: version for step in self.steps for name, version in step.versions.items()}


@dataclass(frozen=True)
class Group:
    """Requirements that are resolved together; with `dependencies: false` they are taken without
    what they require."""

    packages: tuple[str, ...]
    dependencies: bool = True
    isolated: bool = True
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """`locks/<variant>.in.json`: what the plugin's author asks for, from which a lock is resolved.
    A group is resolved under the versions that the groups before it have fixed."""

    plugin: str
    variant: str
    groups: tuple[Group, ...]
    format: int = FORMAT


def folder(plugin: Any) -> Path | None:
    """Where a plugin's lock files are; None when it has none."""
    if not plugin.requirements.locks:
        return None
    module = sys.modules[type(plugin).__module__.partition(".")[0]]
    return Path(str(module.__file__)).parent / str(plugin.requirements.locks)


def read_locks(plugin: Any) -> list[Lock]:
    """Every lock of a plugin, by file name.

    Raises:
        UsageError: a file is not a lock, or not this plugin's.
    """
    place = folder(plugin)
    paths = (
        sorted(path for path in place.glob("*.json") if not path.name.endswith(".in.json"))
        if place
        else []
    )
    return [read_lock(path, plugin.name) for path in paths]


def read_lock(path: Path, plugin: str) -> Lock:
    lock: Lock = _read(Lock, path)
    if (lock.plugin, lock.file_name) != (plugin, path.name):
        message = (
            f"{path} is the lock {lock.file_name} of {lock.plugin}, not {path.name} of {plugin}"
        )
        raise UsageError(message, "rename the file, or correct its keys")
    return lock


def read_source(path: Path) -> Source:
    source: Source = _read(Source, path)
    return source


def _read(kind: type, path: Path) -> Any:
    remedy = "correct it, or make it again with `hubkit env lock`"
    try:
        return decode(kind, json_text.load(path), str(path))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}", remedy) from None
    except UsageError as error:
        raise UsageError(error.message, remedy) from None


def text(lock: Lock) -> str:
    """The lock file, without what is as by default."""
    steps = [
        {
            key: value
            for key, value in encode(step).items()
            if key == "packages" or value not in ({}, True)
        }
        for step in lock.steps
    ]
    head = {"format": lock.format, **{name: getattr(lock, name) for name in _PLAIN}}
    return json.dumps({**head, "steps": steps}, indent=1, ensure_ascii=False) + "\n"
