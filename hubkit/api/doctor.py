"""`hubkit doctor`: what this machine offers, finding by finding, each with its remedy."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .. import __version__
from ..environments import CURRENT, health, manage
from ..errors import HubkitError
from ..packaging.lfs import require_git_lfs
from ..registry.plugins import plugins

_LOW_DISK = 20 * 10**9


@dataclass(frozen=True)
class Finding:
    """`failed`: hubkit cannot work; `warning`: some verbs or plugins cannot."""

    what: str
    state: Literal["ok", "warning", "failed"]
    found: str
    remedy: str = ""


def doctor(workdir: Path) -> tuple[Finding, ...]:
    """Checks Python, git, git-lfs, disk, each trainer's and engine's packages and locked
    environments, broken plugins, and who is logged in at each hub. Changes nothing."""
    checks: tuple[Callable[[], list[Finding]], ...] = (
        _python,
        _git,
        lambda: _disk(workdir),
        _workers,
        _environments,
        _broken,
        _logins,
    )
    return tuple(finding for check in checks for finding in check())


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


def _workers() -> list[Finding]:
    found = []
    for kind in ("trainer", "engine"):
        for plugin in plugins().of(kind).values():
            with tempfile.TemporaryDirectory(prefix="hubkit-health-") as folder:
                try:
                    versions = health(plugin, CURRENT, Path(folder)).versions
                    found.append(
                        Finding(
                            f"{kind} {plugin.name}",
                            "ok",
                            ", ".join(f"{k} {v}" for k, v in versions.items()),
                        )
                    )
                except HubkitError as error:
                    found.append(
                        Finding(f"{kind} {plugin.name}", "warning", error.message, error.remedy)
                    )
    return found


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
    return Finding(
        what, "warning", "; ".join(f"{one.variant or one.state}: {one.why}" for one in rows), remedy
    )


def _broken() -> list[Finding]:
    return [
        Finding(f"plugin {row.name}", "warning", row.state, "update or uninstall its distribution")
        for row in plugins().rows()
        if row.state != "ok"
    ]


def _logins() -> list[Finding]:
    found = []
    for name, hub in plugins().of("hub").items():
        try:
            login = hub.login({})
        except HubkitError as error:
            found.append(Finding(f"login {name}", "warning", error.message, error.remedy))
            continue
        who = (
            f"{login.user or 'somebody'}, from {login.source}"
            if login.state == "ok"
            else f"{login.state} ({login.source})"
        )
        found.append(
            Finding(f"login {name}", "ok" if login.state == "ok" else "warning", who, login.remedy)
        )
    return found
