"""mmengine's log: one line every few iterations, from which loss, learning rate and time left are
read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_LINE = re.compile(r"Iter\(train\)\s*\[\s*(\d+)/(\d+)\](.*)")
_PAIR = re.compile(r"(?<!\w)(lr|loss|time|eta|memory): *(\d+ days?, [\d:]+|\S+)")


@dataclass(frozen=True)
class Line:
    """`eta` is in seconds."""

    step: int
    total: int
    loss: float
    learning_rate: float
    eta: float = 0.0
    seconds: float = 0.0


def parse(text: str) -> Line | None:
    """None for any other line of the log."""
    found = _LINE.search(text)
    if not found:
        return None
    values = dict(_PAIR.findall(found[3]))
    if "loss" not in values or "lr" not in values:
        return None
    try:
        loss, rate, seconds = (
            float(values["loss"]),
            float(values["lr"]),
            float(values.get("time", 0)),
        )
        return Line(
            int(found[1]), int(found[2]), loss, rate, _seconds(values.get("eta", "")), seconds
        )
    except ValueError:
        return None


def _seconds(text: str) -> float:
    """`1 day, 2:03:04` and `0:01:02`."""
    days, _, clock = text.rpartition(", ")
    total = float(days.split()[0]) * 86400 if days else 0.0
    parts = clock.split(":")
    return (
        total + sum(float(part) * 60**power for power, part in enumerate(reversed(parts)))
        if clock
        else 0.0
    )


def read(work: Path) -> dict[int, Line]:
    """By step, from every log below `work`; where a training was continued, the later log
    counts."""
    lines: dict[int, Line] = {}
    for path in sorted(work.glob("*/*.log")):
        for line in filter(None, map(parse, path.read_text("utf-8", "replace").splitlines())):
            lines[line.step] = line
    return dict(sorted(lines.items()))


def write_metrics(lines: Iterable[Line], path: Path) -> None:
    entries = (
        {"step": line.step, "loss": line.loss, "learning_rate": line.learning_rate}
        for line in lines
    )
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
