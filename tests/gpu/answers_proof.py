"""An evaluation answered by one process on one GPU, then by one on each GPU of this machine.

    python tests/gpu/answers_proof.py FOLDER [RECORDS]

Proves that the rows are the same, each process seeing one GPU alone, and prints what either took;
exits 1 when a row differs. Needs two GPUs. The quickstart's tiny model reads printed digits.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import time
from pathlib import Path

import hubkit
from hubkit.environments.machine import gpus
from hubkit.quickstart.glyphs import draw

BASE = Path(hubkit.__file__).parent / "quickstart" / "base"


def write_digits(folder: Path, count: int) -> None:
    dice, entries = random.Random(5), []
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        digit, name = number % 10, f"{number}.png"
        draw(digit, 56, 56, dice, 0.2).save(folder / "images" / name)
        asked = {"from": "human", "value": "<image>\nWhich digit is this?"}
        said = {"from": "gpt", "value": str(digit)}
        entries.append({"id": str(number), "image": name, "conversations": [asked, said]})
    (folder / "digits.json").write_text(json.dumps(entries), "utf-8")


def main(folder: Path, records: int) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / "InternVL2-Tiny"
    shutil.copytree(BASE, base, ignore=shutil.ignore_patterns("__pycache__"))
    write_digits(folder / "digits", records)
    rows, seen = {}, gpus(os.environ)
    for name, processes in (("one", 1), ("each GPU", 0)):
        samples, started = folder / f"{processes}.jsonl", time.monotonic()
        result = hubkit.evaluate(
            base,
            folder / "digits" / "digits.json",
            images=folder / "digits" / "images",
            options={"batch_size": 16},
            processes=processes,
            samples=samples,
        )
        rows[name] = samples.read_text("utf-8").splitlines()
        took = round(time.monotonic() - started, 1)
        told = {"processes": name, "records": result.count, "score": result.score, "seconds": took}
        print(json.dumps(told), flush=True)
    different = sum(a != b for a, b in zip(*rows.values(), strict=True))
    print(json.dumps({"GPUs": len(seen), "different rows": different}), flush=True)
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1_600))
