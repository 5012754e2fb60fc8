"""The table of the fault matrix, put together from its rows, whichever process made them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

ROW = "fault matrix: protocol, fault, steps, cells"
SKIPPED = "skipped"
_SHORT = {"verified": "v", "recovered": "r", "found": "f", SKIPPED: "."}


def tables(reports: list[Any]) -> list[str]:
    """One a protocol, of the rows that tests left in their reports under ROW."""
    rows: dict[str, list[tuple[str, list[str], list[str]]]] = defaultdict(list)
    for report in reports:
        for name, value in getattr(report, "user_properties", ()):
            if name == ROW and report.when == "call":
                protocol, fault, steps, cells = value
                rows[protocol].append((fault, steps, cells))
    return [_table(protocol, found) for protocol, found in sorted(rows.items())]


def _table(protocol: str, rows: list[tuple[str, list[str], list[str]]]) -> str:
    steps = max((steps for _, steps, _ in rows), key=len)
    lines = [
        (
            f"{protocol}: fault x request -> v verified, r recovered by running again, f found by "
            "the download, . left out"
        )
    ]
    lines += [f"  {number:2} {name}" for number, name in enumerate(steps)]
    lines.append(" " * 16 + " ".join(f"{number:2}" for number in range(len(steps))))
    lines += [
        f"{fault:16}" + " ".join(f"{_SHORT.get(one, 'LOST'):>2}" for one in cells)
        for fault, _, cells in sorted(rows)
    ]
    counts = [one for _, _, cells in rows for one in cells]
    lost = sum(one not in _SHORT for one in counts)
    lines.append(f"{len(rows)} faults, {sum(one != SKIPPED for one in counts)} cells, {lost} lost")
    return "\n".join(lines)
