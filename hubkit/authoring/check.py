"""`hubkit plugins check`: a plugin's whole life in a process of its own, and what departs from the
contract."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..registry.entries import GROUP, GROUPS, declared_kind, installed
from ..registry.entry_points import EntryPoint
from ..sdk import Run, SilentRun, UsageError
from ..sdk.excerpt import did_you_mean

SECONDS = 3600.0
_TAIL = 2000
_BETWEEN = 0.2


@dataclass(frozen=True)
class Step:
    """`message` says what was seen, or what is wrong."""

    name: str
    state: Literal["ok", "skipped", "failed"]
    message: str


@dataclass(frozen=True)
class Report:
    plugin: str
    steps: tuple[Step, ...]

    @property
    def ok(self) -> bool:
        return bool(self.steps) and all(step.state != "failed" for step in self.steps)


def check_plugin(
    plugin: str | Path,
    *,
    kind: str = "",
    environment: str | Mapping[str, str] | None = None,
    run: Run | None = None,
    seconds: float = SECONDS,
) -> Report:
    """Takes an installed plugin, by name, or the one in a folder with pyproject.toml, through its
    whole life.

    `environment` is where a trainer or an engine is driven, as release.yaml has it; a locked one is
    built unless it is there. Without it, a plugin whose packages this interpreter lacks is not
    driven, and the report says what it needs. Whatever the plugin does (crash, hang, exit, flood)
    ends in a report, after `seconds` at the latest.

    Raises:
        UsageError: there is no such plugin, or several have the name and `kind` does not choose.
    """
    reference, path = _found(plugin, kind)
    where = (
        environment if environment is None or isinstance(environment, str) else dict(environment)
    )
    request = {"plugin": reference, "path": path, "environment": where}
    with tempfile.TemporaryDirectory(prefix="hubkit-check-") as folder:
        return Report(reference, tuple(_run(request, Path(folder), run or SilentRun(), seconds)))


def _run(asked: Mapping[str, Any], folder: Path, run: Run, seconds: float) -> list[Step]:
    request, report, scratch = folder / "request.json", folder / "report.jsonl", folder / "scratch"
    request.write_text(json.dumps(asked), "utf-8")
    report.touch()
    with (folder / "output.log").open("wb") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "hubkit.authoring.lifecycle",
                str(request),
                str(report),
                str(scratch),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            ended = _wait(process, report, run, seconds)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    rows = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    found = [
        Step(row["step"], row["state"], row["message"]) for row in rows if row["state"] != "begun"
    ]
    begun = [row["step"] for row in rows if row["state"] == "begun"]
    if ended != 0 or len(begun) > len(found):
        found.append(
            Step(
                begun[-1] if begun else "start",
                "failed",
                _why(ended, seconds, folder / "output.log"),
            )
        )
    return found


def _wait(process: subprocess.Popen[bytes], report: Path, run: Run, seconds: float) -> int | None:
    """The exit code; None when time ran out."""
    for _ in range(max(1, round(seconds / _BETWEEN))):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(_BETWEEN)
        run.check_cancelled()
    return None


def _why(ended: int | None, seconds: float, log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        tail = file.read().decode("utf-8", "replace").strip()
    shown = f"\n{tail}" if tail else ""
    if ended is None:
        return f"hangs: not done within {seconds:g} s{shown}"
    if ended < 0:
        return f"died of {signal.Signals(-ended).name}{shown}"
    return f"ended the process with exit code {ended}{shown}"


def _found(plugin: str | Path, kind: str) -> tuple[str, list[str]]:
    """`module:Class`, and what it needs on the path."""
    folder = Path(plugin)
    if folder.is_dir() and (folder / "pyproject.toml").is_file():
        return _local(folder, kind)
    entries = installed()
    named = [entry for entry in entries if entry.name == str(plugin)]
    chosen = [entry for entry in named if not kind or len(named) == 1 or _kind(entry) == kind]
    if not chosen:
        names = sorted({entry.name for entry in entries})
        raise UsageError(
            f"there is no plugin {str(plugin)!r}{did_you_mean(str(plugin), names)}",
            f"installed: {', '.join(names)}; or name a folder that has a pyproject.toml",
        )
    if len({entry.value for entry in chosen}) > 1:
        raise UsageError(
            f"several plugins are called {str(plugin)!r}", "choose with --kind, or uninstall one"
        )
    return chosen[0].value, []


def _kind(entry: EntryPoint) -> str:
    from ..registry.plugins import plugins

    if kind := declared_kind(entry):
        return kind
    return next((row.kind for row in plugins().rows() if row.entry == entry.value), "")


def _local(folder: Path, kind: str) -> tuple[str, list[str]]:
    project = _toml(folder / "pyproject.toml").get("project", {})
    declared = project.get("entry-points", {})
    groups = [GROUPS[kind]] if kind in GROUPS else list(GROUPS.values())
    values = [value for group in (*groups, GROUP) for value in declared.get(group, {}).values()]
    if len(set(map(str, values))) != 1 or not isinstance(values[0], str):
        raise UsageError(
            f"{folder / 'pyproject.toml'}: {len(values)} entry points in {', '.join(groups)}",
            "write one, below the group of its kind: "
            f'[project.entry-points."{groups[0]}"] NAME = "package:Class"; if there are several, '
            "install the distribution and check each by its name",
        )
    return values[0], [str(path.resolve()) for path in (folder / "src", folder) if path.is_dir()]


def _toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UsageError(f"{path}: {error}", "fix the file") from None
