"""What is installed in an environment, read from outside it, against its lock."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

from hubkit.sdk.environment import normal

from .locks import Lock


def differences(folder: Path, lock: Lock) -> list[str]:
    """Every package of `lock` that is missing from the environment in `folder`, or there in another
    version."""
    places = [str(path) for path in folder.glob("lib*/python*/site-packages")]
    found = {
        normal(one.metadata["Name"]): one.version
        for one in importlib.metadata.distributions(path=places)
    }
    return [
        f"{name} is {found[name]}, the lock says {version}"
        if name in found
        else f"{name} {version} is not installed"
        for name, version in sorted(lock.versions.items())
        if name not in found or _plain(found[name], version) != _plain(version, version)
    ]


def _plain(version: str, wanted: str) -> str:
    """For comparing: 1.0 is 1.0.0 (PEP 440), and a local build such as 2.13.0+cpu is 2.13.0 unless
    the lock names the build."""
    public = version if "+" in wanted else version.partition("+")[0]
    return re.sub(r"(\.0)+$", "", public.lower())
