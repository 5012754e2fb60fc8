"""`hubkit doctor`: what this machine offers, finding by finding, each with its remedy."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .. import __version__
from ..environments import CURRENT, manage, unhealthy
from ..environments.machine import cuda
from ..errors import HubkitError
from ..packaging.lfs import require_git_lfs
from ..registry.plugins import plugins
from ..sdk.environment import check
from .hubs import login_status

_LOW_DISK = 20 * 10**9


@dataclass(frozen=True)
class Finding:
    """`failed`: hubkit cannot work; `warning`: some verbs or plugins cannot."""

    what: str
    state: Literal["ok", "warning", "failed"]
    found: str
    remedy: str = ""


def doctor(workdir: Path) -> tuple[Finding, ...]:
    """All `findings`."""
    return tuple(findings(workdir))


def findings(workdir: Path) -> Iterator[Finding]:
    """Looks at Python, git, git-lfs, disk, GPU, each trainer's and engine's packages and locked
    environments, broken plugins, and who is logged in at each hub, one after the other. Changes
    nothing; packages are looked for and not imported, which `hubkit env check` does."""
    checks: tuple[Callable[[], list[Finding]], ...] = (
        _python,
        _git,
        lambda: _disk(workdir),
        _gpu,
        _workers,
        _environments,
        _broken,
        _logins,
    )
    for look in checks:
        yield from look()


def _python() -> list[Finding]:
    return [
        Finding(
            "python",
            "ok",
            f"{platform.python_version()}, hubkit {__version__}",
        )
    ]


def _git() -> list[Finding]:
    try:
        found = require_git_lfs()
        return [Finding("git and git-lfs", "ok", f"git {found.git}, git-lfs {found.lfs}")]
    except HubkitError as error:
        return [Finding("git and git-lfs", "failed", error.message, error.remedy)]


def _disk(workdir: Path) -> list[Finding]:
    place = next(p for p in (workdir.resolve(), *workdir.resolve().parents) if p.exists())
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        return [
            Finding(
                "disk", "failed", f"{place} is not writable", "give another folder with --workdir"
            )
        ]
    if free < _LOW_DISK:
        return [
            Finding(
                "disk",
                "warning",
                f"{free / 1e9:.1f} GB free in {place}",
                "a 2B model needs about 20 GB: make room or use --workdir",
            )
        ]
    return [Finding("disk", "ok", f"{free / 1e9:.1f} GB free in {place}")]


def _gpu() -> list[Finding]:
    if driver := cuda():
        return [Finding("GPU", "ok", f"NVIDIA, driver for CUDA {driver}")]
    return [Finding("GPU", "ok", "none; trainers and engines that can do so use the CPU")]


def _workers() -> list[Finding]:
    kinds = ("trainer", "engine", "exporter")
    every = [plugin for kind in kinds for plugin in plugins().of(kind).values()]
    return [_worker(plugin) for plugin in every]


def _worker(plugin: Any) -> Finding:
    who = f"{plugin.kind} {plugin.name}"
    found = check(plugin.requirements, imports=False)
    if not found.missing:
        there = ", ".join(f"{module} {version}" for module, version in found.versions.items())
        return Finding(who, "ok", there or "needs no packages")
    told = unhealthy(plugin, CURRENT, found)
    return Finding(who, "warning", told.message.removeprefix(f"{who} "), told.remedy)


def _environments() -> list[Finding]:
    """The locked environment of each plugin that fits this machine; where there is none, why."""
    by_plugin: dict[str, list[manage.Row]] = {}
    for row in manage.rows(sweep=False):
        by_plugin.setdefault(f"{row.kind} {row.plugin}".strip(), []).append(row)
    return [_environment(f"environment of {who}", rows) for who, rows in by_plugin.items()]


def _environment(what: str, rows: list[manage.Row]) -> Finding:
    row = next((row for row in rows if row.chosen), rows[0])
    which = f"{row.variant}, Python {row.python}, {row.packages} packages"
    if row.state == "built":
        return Finding(what, "ok", f"{which}: built in {row.folder} ({row.size / 1e6:,.0f} MB)")
    if row.chosen:
        remedy = f"`environment: locked` builds it, or `hubkit env build {row.plugin}`"
        return Finding(what, "ok", f"{which}: not built yet", remedy)
    if row.state == "stale":
        remedy = "remove it: `hubkit env remove --stale`"
        return Finding(
            what, "warning", f"{which}: {row.why} ({row.folder}, {row.size / 1e6:,.0f} MB)", remedy
        )
    remedy = "name an interpreter of your own where it is used: `environment: {python: PATH}`"
    reasons = dict.fromkeys(f"{one.variant or one.state}: {one.why}" for one in rows)
    return Finding(what, "warning", "; ".join(reasons), remedy)


def _broken() -> list[Finding]:
    return [
        Finding(f"plugin {row.name}", "warning", row.state, "update or uninstall its distribution")
        for row in plugins().rows()
        if row.state != "ok"
    ]


def _logins() -> list[Finding]:
    found = []
    for name, login in login_status().items():
        told = {
            "ok": f"{login.user or 'somebody'}, from {login.source}",
            "none": login.source,
        }.get(login.state, f"{login.state} ({login.source})")
        good = login.state == "ok"
        found.append(Finding(f"login {name}", "ok" if good else "warning", told, login.remedy))
    return found
