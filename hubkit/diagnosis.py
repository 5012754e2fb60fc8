"""`hubkit doctor`: what this machine offers, finding by finding, each with its remedy."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .environments import CURRENT, health
from .errors import HubkitError
from .packaging.lfs import require_git_lfs
from .registry import plugins

_LOW_DISK = 20 * 10**9
_TOKENS = {
    "Hugging Face": ("HF_TOKEN", "~/.cache/huggingface/token"),
    "ModelScope": ("MODELSCOPE_API_TOKEN", "~/.modelscope/credentials"),
}


@dataclass(frozen=True)
class Finding:
    """`failed`: hubkit cannot work; `warning`: some verbs or plugins cannot."""

    what: str
    state: Literal["ok", "warning", "failed"]
    found: str
    remedy: str = ""


def doctor(workdir: Path) -> tuple[Finding, ...]:
    """Checks Python, git, git-lfs, disk, each trainer's and engine's packages, broken plugins, and where tokens are.
    Changes nothing, sends nothing; a token's value is never read."""
    checks: tuple[Callable[[], list[Finding]], ...] = (_python, _git, lambda: _disk(workdir), _workers, _broken, _tokens)
    return tuple(finding for check in checks for finding in check())


def _python() -> list[Finding]:
    return [Finding("python", "ok", f"{platform.python_version()}, hubkit {importlib.metadata.version('hubkit')}")]


def _git() -> list[Finding]:
    try:
        return [Finding("git and git-lfs", "ok", str(require_git_lfs()))]
    except HubkitError as error:
        return [Finding("git and git-lfs", "failed", error.message, error.remedy)]


def _disk(workdir: Path) -> list[Finding]:
    place = next(p for p in (workdir.resolve(), *workdir.resolve().parents) if p.exists())
    free = shutil.disk_usage(place).free
    if not os.access(place, os.W_OK):
        return [Finding("disk", "failed", f"{place} is not writable", "give another folder with --workdir")]
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
                    found.append(Finding(f"{kind} {plugin.name}", "ok", ", ".join(f"{k} {v}" for k, v in versions.items())))
                except HubkitError as error:
                    found.append(Finding(f"{kind} {plugin.name}", "warning", error.message, error.remedy))
    return found


def _broken() -> list[Finding]:
    return [
        Finding(f"plugin {row.name}", "warning", row.state, "update or uninstall its distribution")
        for row in plugins().rows()
        if row.state != "ok"
    ]


def _tokens() -> list[Finding]:
    found = []
    for hub, (variable, file) in _TOKENS.items():
        if os.environ.get(variable):
            found.append(Finding(f"token for {hub}", "ok", f"from {variable}"))
        elif Path(file).expanduser().exists():
            found.append(Finding(f"token for {hub}", "ok", f"from {file}"))
        else:
            found.append(
                Finding(f"token for {hub}", "warning", "none found", f"only needed to publish there: log in, or set {variable}")
            )
    return found
