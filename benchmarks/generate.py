"""How fast the transformers engine answers in batches, beside one record after the other: the same
pictures of digits, of one to several tiles, over one turn and two.

Prints one table: records a second, how many times one by one that is, how many records have the
same texts as one by one, and how many were asked again alone. `--model` takes any folder that the
engine can ask; without it the quickstart's base, whose answers are sure. A model with random
weights is never sure: use `--rows one batches`, which leaves `exact` out.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
from pathlib import Path
from typing import Any

from hubkit.quickstart.glyphs import draw
from hubkit.reporting import SilentReporter
from hubkit.sdk import IMAGE, Answer, GenerateInput, Record, Turn, read_answers, write_jsonl
from hubkit.weights.convert import native_view
from hubkit.weights.model import open_model

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
    parser.add_argument("--model", type=Path, default=BASE)
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
    model = open_model(given.model)
    native = native_view(model, place / "native", SilentReporter())
    records = write_records(place, given.records, model.vision.tile)
    sizes = {"batch_size": given.batch_size, "batch_tokens": given.batch_tokens}
    alone: list[Answer] = []
    print("| Row | Seconds | Records/s | x one by one | Same texts | Asked again |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)
    first = 0.0
    for row in given.rows:
        run, output = Listening(), place / row
        output.mkdir()
        options = {**sizes, "threads": given.threads, **ROWS[row]}
        job = GenerateInput(
            *(model.folder, native, model.vision, place / "records.jsonl", place, output),
            given.tokens,
            options,
        )
        seconds, answers = answered(job, run)
        alone, first = alone or answers, first or seconds
        same = sum(mine.texts == other.texts for mine, other in zip(answers, alone, strict=True))
        print(
            f"| {row} | {seconds:.1f} | {len(records) / seconds:.2f} | {first / seconds:.2f} "
            f"| {same} of {len(records)} | {run.again} |",
            flush=True,
        )


def answered(job: GenerateInput, run: Listening) -> tuple[float, list[Answer]]:
    from hubkit_transformers import TransformersEngine

    output = TransformersEngine().generate(job, run)
    return output.total_seconds, list(read_answers(job.output / output.answers))


def write_records(place: Path, count: int, tile: int) -> list[Record]:
    dice, made = random.Random(11), []
    for number in range(count):
        wide, high = dice.choice(((1, 1), (1, 1), (2, 1), (3, 1)))
        size = (tile * wide, tile * high)
        draw(number % 10, *size, dice, 0.2).save(place / f"{number}.png")
        turns = [Turn(f"{IMAGE}\n{dice.choice(QUESTIONS)}", "")]
        turns += [Turn("Is it even or odd?", "")] * (number % 3 == 0)
        made.append(Record(str(number), (f"{number}.png",), tuple(turns)))
    write_jsonl(place / "records.jsonl", made)
    return made


if __name__ == "__main__":
    main()
