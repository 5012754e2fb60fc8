"""What a command takes that has little to do: hubkit beside an empty Python and another client.

    python benchmarks/startup.py             # seven of each in turn
    python benchmarks/startup.py --repeat 25

`plan()` and `check` read the quickstart's project, which is written first. Bytecode is compiled
beforehand, as pip does. The least of all runs is shown: what else the machine does only adds.
Exits 1 when a command takes more than its limit, in processor time over that of `python -c pass`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

_BIN = Path(sys.executable).parent
_WRITE = """
import pathlib, sys
from hubkit.quickstart import write_project
from hubkit.sdk import SilentRun
write_project(pathlib.Path(sys.argv[1]), SilentRun())
"""
"""In a process of its own: one that is started is counted with the memory of who starts it."""
_PLAN = "import sys, hubkit; hubkit.plan(sys.argv[1])"
"""The release file read and checked, the stages compared. The command also looks for what a release
would refuse, and asks the environments of trainer and engines, which import torch: seconds."""
_LIMITS = {"hubkit --help": 5, "hubkit check": 12}


class Taken(NamedTuple):
    """Seconds, and MiB of memory at the peak."""

    wall: float
    processor: float
    peak: float


def commands(project: Path) -> dict[str, list[str]]:
    hubkit = [sys.executable, "-m", "hubkit"]
    found = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import click'": [sys.executable, "-c", "import click"],
        "hubkit --help": [*hubkit, "--help"],
        "hubkit check": [*hubkit, "check", str(project / "InternVL2-Tiny")],
        "hubkit.plan()": [sys.executable, "-c", _PLAN, str(project / "release.yaml")],
    }
    if (_BIN / "hf").exists():
        found["hf --help"] = [str(_BIN / "hf"), "--help"]
    return found


def run(command: list[str], environment: dict[str, str]) -> Taken:
    started = time.perf_counter()
    nowhere = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    child = os.posix_spawn(command[0], command, environment, file_actions=nowhere)
    _, status, used = os.wait4(child, 0)
    if status:
        sys.exit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    wall = time.perf_counter() - started
    return Taken(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubkit-bench-") as temporary:
        folder = Path(temporary)
        subprocess.run([sys.executable, "-c", _WRITE, str(folder / "project")], check=True)
        environment = os.environ | {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        todo = commands(folder / "project")
        rounds = [
            {name: run(command, environment) for name, command in todo.items()}
            for _ in range(given.repeat + 1)
        ][1:]
    best = {
        name: Taken(*map(min, zip(*(found[name] for found in rounds), strict=True)))
        for name in todo
    }
    floor, late = best["python -c pass"], 0
    print("| | Wall ms | x | Processor ms | x | Limit | Peak MiB |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, taken in best.items():
        times = taken.processor / floor.processor
        late |= times > _LIMITS.get(name, times)
        print(
            f"| `{name}` | {taken.wall * 1e3:.0f} | {taken.wall / floor.wall:.1f} "
            f"| {taken.processor * 1e3:.0f} | {times:.1f} | {_LIMITS.get(name, '')} "
            f"| {taken.peak:.0f} |"
        )
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
