"""How fast the transformers engine answers in batches, beside one record after the other: the same
pictures of digits, of one to several tiles, over one turn and two.

Prints one table: records a second, how many times one by one that is, how many records have the
same texts as one by one, and how many were asked again alone. Asked is the quickstart's base, whose
answers are sure; or, with `--folder`, a model of true dimensions that `train_gpu.py` made, with its
records of seven tiles. Its random weights are never sure: use `--rows one batches`, which leaves
`exact` out.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from hubkit.quickstart.glyphs import draw
from hubkit.reporting import SilentReporter
from hubkit.sdk import (
    IMAGE,
    Answer,
    GenerateInput,
    Record,
    Turn,
    Vision,
    read_answers,
    read_records,
    write_jsonl,
)
from hubkit.sdk.codec import decode
from hubkit.weights.convert import native_view
from hubkit.weights.model import Model

BASE = Path(__file__).parents[1] / "hubkit" / "quickstart" / "base"
QUESTIONS = ("Which digit is this?", "What is in this picture?", "Spell it.")
ROWS: dict[str, dict[str, Any]] = {
    "one": {"batch_size": 1},
    "batches": {"exact": False},
    "exact": {},
}
_AGAIN = re.compile(r"(\d+) of \d+ answers hung on a close call")


class Listening(SilentReporter):
    def __init__(self) -> None:
        self.again = 0

    def note(self, message: str) -> None:
        if found := _AGAIN.match(message):
            self.again = int(found[1])
        elif message:
            print(message, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="made by train_gpu.py")
    parser.add_argument("--records", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=32, help="at most, of an answer")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--batch-tokens", type=int, default=32768)
    parser.add_argument(
        "--rows", nargs="+", choices=sorted(ROWS), default=["one", "batches", "exact"]
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubkit-benchmark-", dir=Path.cwd()) as temporary:
        report(given, Path(temporary))


def report(given: argparse.Namespace, place: Path) -> None:
    asked = job(given, place)
    count = sum(1 for _ in read_records(asked.records))
    sizes = {"batch_size": given.batch_size, "batch_tokens": given.batch_tokens}
    alone: list[Answer] = []
    print("| Row | Seconds | Records/s | x one by one | Same texts | Asked again |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    first = 0.0
    for row in given.rows:
        run, output = Listening(), place / row
        output.mkdir()
        options = {**sizes, "threads": given.threads, **ROWS[row]}
        seconds, answers = answered(replace(asked, output=output, options=options), run)
        alone, first = alone or answers, first or seconds
        same = sum(mine.texts == other.texts for mine, other in zip(answers, alone, strict=True))
        print(
            f"| {row} | {seconds:.1f} | {count / seconds:.2f} | {first / seconds:.2f} "
            f"| {same} of {count} | {run.again} |",
            flush=True,
        )


def job(given: argparse.Namespace, place: Path) -> GenerateInput:
    from hubkit_internvl import InternVL

    records = place / "records.jsonl"
    if given.folder is None:
        model = Model.of(BASE, InternVL())
        native = native_view(model, place / "native", SilentReporter())
        write_records(place, given.records, model.vision.tile)
        return GenerateInput(BASE, native, model.vision, records, place, place, given.tokens, {})
    folder = given.folder
    vision = decode(
        Vision, json.loads((folder / "job.json").read_text("utf-8"))["vision"], "vision"
    )
    write_jsonl(records, islice(read_records(folder / "records.jsonl"), given.records))
    native, images = folder / "native", folder / "images"
    return GenerateInput(folder / "base", native, vision, records, images, place, given.tokens, {})


def answered(job: GenerateInput, run: Listening) -> tuple[float, list[Answer]]:
    from hubkit_transformers import TransformersEngine

    output = TransformersEngine().generate(job, run)
    return output.total_seconds, list(read_answers(job.output / output.answers))


def write_records(place: Path, count: int, tile: int) -> None:
    dice, made = random.Random(11), []
    for number in range(count):
        wide, high = dice.choice(((1, 1), (1, 1), (2, 1), (3, 1)))
        size = (tile * wide, tile * high)
        draw(number % 10, *size, dice, 0.2).save(place / f"{number}.png")
        turns = [Turn(f"{IMAGE}\n{dice.choice(QUESTIONS)}", "")]
        turns += [Turn("Is it even or odd?", "")] * (number % 3 == 0)
        made.append(Record(str(number), (f"{number}.png",), tuple(turns)))
    write_jsonl(place / "records.jsonl", made)


if __name__ == "__main__":
    main()
