"""Signals at any instant of longer work: 130 within five seconds, and no process left."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from case import RELEASE, Case, adapter, project

KIND = "signals"

_EXIT = 130
_WITHIN = 5.0
_RECORDS = 300_000
_SILENT = (200, {"content-type": "application/json"}, None)
_VARIABLES = {"HUBKIT_OFFLINE": "", "OPENAI_BASE_URL": "URL"}


def _struck(strokes: Sequence[int], after: float) -> Callable[[Path, int], None]:
    """Sends the signals to the command, the first after so many seconds."""

    def beside(folder: Path, child: int) -> None:
        time.sleep(after)
        for number in strokes:
            with suppress(ProcessLookupError):
                os.kill(child, number)
            time.sleep(0.05)
        until = time.monotonic() + _WITHIN
        while _runs(child):
            if time.monotonic() > until:
                raise TimeoutError(f"it still runs {_WITHIN:g} s after the signal")
            time.sleep(0.01)
        while left := _of_its_session(child):
            if time.monotonic() > until:
                raise TimeoutError(f"processes {left} still run")
            time.sleep(0.01)

    return beside


def _stat(process: str) -> list[str]:
    return Path("/proc", process, "stat").read_text().rpartition(")")[2].split()


def _runs(child: int) -> bool:
    try:
        return _stat(str(child))[0] != "Z"
    except OSError:
        return False


def _of_its_session(child: int) -> list[int]:
    found = []
    for process in filter(str.isdigit, (one.name for one in Path("/proc").iterdir())):
        try:
            state, *rest = _stat(process)
        except OSError:
            continue
        if int(process) != child and state != "Z" and int(rest[2]) == child:
            found.append(int(process))
    return found


def _nothing(folder: Path) -> None:
    return None


def _many(folder: Path) -> None:
    turns = [{"from": "human", "value": "Which?"}, {"from": "gpt", "value": "one"}]
    record = json.dumps({"id": "r%d", "conversations": turns})
    (folder / "data.jsonl").write_text("".join(f"{record % n}\n" for n in range(_RECORDS)))


def _asked(folder: Path) -> None:
    """A release whose first question goes to the server."""
    project(folder)
    adapter(folder)
    asks = "train: {adapter: adapter}\nsmoke: {engine: openai}\nevaluate: {engine: openai}\n"
    (folder / "release.yaml").write_text(RELEASE + asks)


_HUBS = ("huggingface:a/InternVL2-A", "huggingface:a/InternVL2-B")
_WORK: dict[str, tuple[tuple[str, ...], Callable[[Path], None], bool]] = {
    "a hub that says nothing": (
        ("diff", *_HUBS, "--option", "huggingface.endpoint=URL"),
        _nothing,
        True,
    ),
    "a server that says nothing": (("release", "release.yaml"), _asked, True),
    "preparing": (("prepare", "data.jsonl", "out", "--images", "."), _many, False),
    "training": (("release", "release.yaml", "--until", "train"), project, False),
}
"""Command, what makes its input, and whether it asks a server."""


def _case(what: str, strokes: tuple[signal.Signals, ...], after: float) -> Case:
    command, make, asks = _WORK[what]
    return Case(
        f"{' and '.join(one.name for one in strokes)} after {after:.2f} s: {what}",
        command,
        make,
        exits=_EXIT,
        variables=_VARIABLES if asks else {},
        answer=_SILENT if asks else None,
        beside=_struck(strokes, after),
    )


_STROKES = (signal.SIGTERM,), (signal.SIGINT,), (signal.SIGTERM, signal.SIGINT)
_DICE = random.Random(15)
CASES = [_case(*one, _DICE.uniform(0.3, 1.5)) for one in itertools.product(_WORK, _STROKES)]
