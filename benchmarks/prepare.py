"""Validating a dataset of LLaVA-1.5's size: hubkit beside `json.load` of the same file.

    python benchmarks/prepare.py                      # 665,000 records, about 1 GB
    python benchmarks/prepare.py --records 20000      # to see that it works
    python benchmarks/prepare.py --repeat 3           # three of each in turn, the best of each

The file is made first, with a fixed seed: one JSON array, two to twenty messages a record (1.4 KB
of JSON on average), one record in sixteen without a picture, two records a picture, the pictures in
five folders. Their files are there and empty: they are looked for (`--look exist`), not opened.
Each measurement is a fresh process, and the two take turns. The peak is of all its processes,
looked at fifty times a second; it and the processor's time have the imports. The validation does
all that `hubkit prepare --dry-run --look exist` does: schema, roles, marks, ids, images, repeated
records, the report.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_TEXT = (
    "the picture shows a bowl of noodles with green onions and chopsticks beside it on wooden "
    "table that looks old"
)
_WORDS = _TEXT.split()
_FOLDERS = ("coco/train2017", "gqa/images", "ocr_vqa/images", "textvqa/train_images", "vg/VG_100K")


def image(number: int) -> str:
    return f"{_FOLDERS[number % len(_FOLDERS)]}/{number:012d}.jpg"


def talk(draw: random.Random, picture: bool) -> list[dict[str, str]]:
    turns = []
    for number in range(draw.choice((1, 1, 3, 5, 8, 10))):
        mark = "<image>\n" if picture and number == 0 else ""
        turns.append({"from": "human", "value": mark + " ".join(draw.choices(_WORDS, k=12))})
        turns.append(
            {"from": "gpt", "value": " ".join(draw.choices(_WORDS, k=draw.choice((3, 20, 60))))}
        )
    return turns


def items(records: int) -> Iterator[dict[str, Any]]:
    draw = random.Random(0)
    for number in range(records):
        picture = number % 16 > 0
        item: dict[str, Any] = {"id": f"{number:09d}"}
        if picture:
            item["image"] = image(number // 2)
        yield {**item, "conversations": talk(draw, picture)}


def make(folder: Path, records: int) -> Path:
    for name in _FOLDERS:
        (folder / name).mkdir(parents=True)
    for number in range(records // 2 + 1):
        (folder / image(number)).touch()
    source = folder / "data.json"
    with source.open("w", encoding="utf-8") as out:
        out.write("[")
        for number, item in enumerate(items(records)):
            out.write(",\n" * (number > 0) + json.dumps(item))
        out.write("]")
    return source


def load(source: Path) -> int:
    with source.open(encoding="utf-8") as file:
        return len(json.load(file))


def validate(source: Path) -> int:
    import hubkit

    done = hubkit.prepare(source, None, hubkit.PrepareSettings(look="exist"))
    return done.report.records


def measure(work: str, source: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--worker", work, str(source)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        time.sleep(0.02)
    assert process.stdout and process.returncode == 0
    found: dict[str, Any] = json.loads(process.stdout.read())
    return {**found, "peak": peak}


def memory(process: int) -> float:
    """MiB that the process and those that it started hold, a page that several share once."""
    total = 0
    with contextlib.suppress(OSError):  # it has ended
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        for one in (str(process), *children):
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            total += int(rollup.split("Pss:")[1].split()[0])
    return total / 1024


def worker(work: str, source: Path) -> None:
    started = time.perf_counter()
    records = {"load": load, "validate": validate}[work](source)
    seconds = time.perf_counter() - started
    processor = sum(os.times()[:4])  # of its children too
    print(json.dumps({"seconds": seconds, "processor": processor, "records": records}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=665_000)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        return worker(given.worker[0], Path(given.worker[1]))
    with tempfile.TemporaryDirectory(prefix="hubkit-bench-") as temporary:
        source = make(Path(temporary), given.records)
        print(f"{given.records:,} records, {source.stat().st_size / 1e6:,.0f} MB\n")
        pairs = [
            (measure("load", source), measure("validate", source)) for _ in range(given.repeat)
        ]
        print(
            "| | Wall s | x json.load | Processor s | x json.load | Peak MiB | Records "
            "|\n|---|---:|---:|---:|---:|---:|---:|"
        )
        for title, number in (("json.load", 0), ("hubkit prepare --dry-run --look exist", 1)):
            cells = []
            for what in ("seconds", "processor"):
                best = [min(pair[side][what] for pair in pairs) for side in (0, 1)]
                cells += [f"{best[number]:.1f}", f"{best[number] / best[0]:.2f}"]
            peak = max(pair[number]["peak"] for pair in pairs)
            print(
                "|",
                " | ".join([title, *cells, f"{peak:,.0f}", f"{pairs[0][number]['records']:,}"]),
                "|",
            )


if __name__ == "__main__":
    main()
