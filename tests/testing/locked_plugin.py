"""A tiny plugin with a lock, installed for child processes, and the wheels of its environment: real
pip in seconds."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
PLATFORM = f"{sys.platform}_{platform.machine()}"

CODE = """
from dataclasses import dataclass
from hubkit.sdk import *

@dataclass(frozen=True)
class Options:
    hang: bool = False

def probe():
    import tinyone, tinytwo
    if tinyone.answer() + tinytwo.answer() != 42:
        raise RuntimeError("the sum is wrong")

class TinyLock:
    kind, name, sdk, Options = "trainer", "tinylock", "1.1", Options
    requirements = Requirements((("tinyone", "1"), ("tinytwo", "")), "none", locks="locks", probe="hubkit_tinylock:probe")

    def train(self, job, run):
        import json, os, sys, time, tinyone
        while job.options["hang"]:
            time.sleep(1)
        (job.output / "adapter").mkdir()
        (job.output / "adapter" / "file").write_text("x")
        (job.output / "metrics.jsonl").write_text(json.dumps({"step": 1, "loss": 0.5, "learning_rate": 0.1}))
        settings = {"answer": tinyone.answer(), "python": sys.executable, "variables": " ".join(sorted(os.environ))}
        return TrainOutput("adapter", "peft", "metrics.jsonl", 1, 1, 1, settings)
"""  # noqa: E501


def wheel(
    folder: Path, name: str, version: str, body: str, requires: Iterable[str] = (), size: int = 0
) -> Path:
    """A pure wheel of one module with `body`, and `size` bytes of ballast."""
    folder.mkdir(parents=True, exist_ok=True)
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    needed = "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = {
        f"{name}.py": body,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if size:
        files[f"{name}.bin"] = "x" * size
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in files.items():
            archive.writestr(zipfile.ZipInfo(place, (2020, 1, 1, 0, 0, 0)), text)
        archive.writestr(
            f"{info}/RECORD", "".join(f"{place},,\n" for place in [*files, f"{info}/RECORD"])
        )
    return path


def wheels(folder: Path) -> Path:
    """`tinyone` 1.0 and 1.1 and `tinytwo` 2.0, which says that it cannot stand beside them."""
    wheel(folder, "tinyone", "1.0", "def answer():\n    return 40\n", ["tinythree"])
    wheel(folder, "tinyone", "1.1", "def answer():\n    return 40\n")
    wheel(folder, "tinytwo", "2.0", "def answer():\n    return 2\n", ["tinyone<1"])
    return folder


def sha256(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def step(*packages: str, **more: Any) -> dict[str, Any]:
    return {"packages": list(packages), **more}


def lock(
    *steps: Mapping[str, Any], variant: str = "cpu", python: str = PYTHON, platform: str = PLATFORM
) -> dict[str, Any]:
    steps = steps or (step("tinyone==1.0"), step("tinytwo==2.0"))
    return {
        "format": 1,
        "plugin": "tinylock",
        "variant": variant,
        "python": python,
        "platform": platform,
        "steps": [*steps],
    }


def lock_file(data: Mapping[str, Any]) -> str:
    return f"{data['variant']}-py{data['python'].replace('.', '')}-{data['platform']}.json"


def install(
    folder: Path, *locks: Mapping[str, Any], sources: Mapping[str, Any] | None = None
) -> Path:
    """Puts the plugin, its locks and its entry point into `folder`, which is then for PYTHONPATH;
    the locks' folder."""
    package, info = folder / "hubkit_tinylock", folder / "hubkit_tinylock-0.1.dist-info"
    place = package / "locks"
    place.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text(CODE)
    for data in locks or (lock(),):
        (place / lock_file(data)).write_text(json.dumps(data))
    for variant, source in (sources or {}).items():
        (place / f"{variant}.in.json").write_text(json.dumps(source))
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hubkit-tinylock\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(
        "[hubkit.plugins]\ntinylock = hubkit_tinylock:TinyLock\n"
    )
    return place


def variables(folder: Path, home: Path) -> dict[str, str]:
    """Those of a child process that has the plugin in `folder` and keeps its environments in
    `home`."""
    return {
        **os.environ,
        "PYTHONPATH": str(folder),
        "HUBKIT_HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
