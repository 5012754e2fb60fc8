"""Questions answered by one process on one GPU, then by one on each GPU of this machine.

    python tests/gpu/answers_proof.py FOLDER [RECORDS]

Proves that the answers are the same, each process seeing one GPU alone, and prints what either
took; exits 1 when one differs. Needs two GPUs. The quickstart's tiny model reads printed digits.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path

import hubkit
from hubkit.environments import CURRENT
from hubkit.environments.machine import gpus
from hubkit.inference.questions import Questioning, ask
from hubkit.inference.shares import processes_here
from hubkit.quickstart.glyphs import draw
from hubkit.sdk import IMAGE, Record, SilentRun, Turn
from hubkit.weights.convert import native_view
from hubkit.weights.model import open_model

BASE = Path(hubkit.__file__).parent / "quickstart" / "base"


def main(folder: Path, count: int) -> int:
    dice, records = random.Random(5), []
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        draw(number % 10, 56, 56, dice, 0.2).save(folder / "images" / f"{number}.png")
        asked = (Turn(f"{IMAGE}\nWhich digit is this?", ""),)
        records.append(Record(str(number), (f"{number}.png",), asked))
    model, run, texts = open_model(BASE), SilentRun(), []
    native = native_view(model, folder / "native", run)
    for processes in (1, processes_here(0)):
        asking = Questioning(
            "transformers", CURRENT, {}, 16, records, folder / "images", processes=processes
        )
        started = time.monotonic()
        output, answers = ask(asking, model, native, folder / str(processes), run)
        texts.append([answer.texts for answer in answers])
        right = sum(answer.texts[0] == str(n % 10) for n, answer in enumerate(answers))
        told = {"processes": processes, "records": count, "right": right}
        told |= {"seconds": round(time.monotonic() - started, 1)}
        print(json.dumps({**told, "answering": round(output.total_seconds, 1)}), flush=True)
    different = sum(a != b for a, b in zip(*texts, strict=True))
    print(json.dumps({"GPUs": len(gpus(os.environ)), "different": different}), flush=True)
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1_600))
