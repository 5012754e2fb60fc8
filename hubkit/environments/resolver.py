"""Makes a lock from what the plugin's author asks for: pip resolves each group in turn and installs
nothing."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk import Run, UsageError
from hubkit.sdk.environment import normal

from . import machine, pip
from .build import Sources, execute
from .locks import PACKAGE, Group, Lock, Source, Step


def resolve(source: Source, python: Path, version: str, run: Run, sources: Sources) -> Lock:
    """The lock of `source` for this platform and Python `version`, whose interpreter is `python`.

    Raises:
        EnvironmentFailure: pip finds no versions that fit, or cannot reach the index.
    """
    fixed: dict[str, str] = {}
    steps: list[Step] = []
    with tempfile.TemporaryDirectory(prefix="hubkit-lock-") as folder:
        Path(folder, "tmp").mkdir()
        for number, group in enumerate(source.groups, 1):
            run.note(
                f"resolving group {number} of {len(source.groups)}: {' '.join(group.packages)}"
            )
            found = _exact(group) or _resolved(
                group, fixed, python, Path(folder), f"group {number}", run, sources
            )
            new = {name: one for name, one in found.items() if name not in fixed}
            fixed |= {name: package.split("==")[1] for name, (package, _) in new.items()}
            steps += _steps(group, new)
    return Lock(source.plugin, source.variant, version, machine.platform_name(), tuple(steps))


def _exact(group: Group) -> dict[str, tuple[str, str]]:
    """The packages of a group that leaves nothing to resolve: exact, without dependencies. Empty
    for another."""
    if group.dependencies or not all(PACKAGE.fullmatch(package) for package in group.packages):
        return {}
    return {normal(package.split("==")[0]): (package, "") for package in group.packages}


def _resolved(
    group: Group,
    fixed: Mapping[str, str],
    python: Path,
    folder: Path,
    what: str,
    run: Run,
    sources: Sources,
) -> dict[str, tuple[str, str]]:
    """By normal name: `name==version` and the sha256 of the file, "" for one that is not of an
    index."""
    listed, constraints, report = (
        folder / "requirements.txt",
        folder / "constraints.txt",
        folder / "report.json",
    )
    listed.write_text("".join(f"{package}\n" for package in group.packages), "utf-8")
    constraints.write_text(
        "".join(f"{name}=={version}\n" for name, version in fixed.items()), "utf-8"
    )
    more = [
        *pip.sources(sources.find_links, sources.no_index),
        *([] if group.isolated else ["--no-build-isolation"]),
    ]
    command = pip.resolve(
        python, listed, constraints, report, dependencies=group.dependencies, rest=more
    )
    execute(
        command,
        what,
        folder,
        folder.with_name(f"{folder.name}.log"),
        run,
        len(group.packages),
        group.variables,
    )
    found = {}
    for item in json.loads(report.read_text("utf-8"))["install"]:
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        found[normal(name)] = (f"{name}=={version}", _hash(item["download_info"]))
    return dict(sorted(found.items()))


def _hash(download: Mapping[str, Any]) -> str:
    """A file of this machine may be another on the next one: only what came from elsewhere is held
    to its hash."""
    digest = download.get("archive_info", {}).get("hashes", {}).get("sha256", "")
    return f"sha256:{digest}" if digest and not str(download["url"]).startswith("file:") else ""


def _steps(group: Group, found: Mapping[str, tuple[str, str]]) -> list[Step]:
    """pip wants hashes for all packages of a call or for none."""
    plain = tuple(package for package, digest in found.values() if not digest)
    hashed = {package: digest for package, digest in found.values() if digest}
    hashes = {package.split("==")[0]: (digest,) for package, digest in hashed.items()}
    return [
        Step(packages, group.isolated, group.variables, known)
        for packages, known in ((plain, {}), (tuple(hashed), hashes))
        if packages
    ]


def interpreter(version: str) -> tuple[str, Path]:
    """The interpreter of `version`, such as `3.11`; hubkit's own for "".

    Raises:
        UsageError: there is none on PATH.
    """
    wanted = version or f"{sys.version_info.major}.{sys.version_info.minor}"
    found = machine.python(wanted)
    if found is None:
        raise UsageError(
            f"there is no python{wanted} on PATH that runs",
            f"install Python {wanted}, or lock for another",
        )
    return wanted, found
