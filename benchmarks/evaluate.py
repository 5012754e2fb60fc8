"""What `hubkit evaluate` takes beside the engine's own generation: the tiny model and its base on
handwritten digits.

Prints one table. "Generation" is what the engine itself measures while it answers; "engine" is the
rest of its worker's life (starting Python, importing torch and transformers, loading the weights),
once a model whatever the number of records; "hubkit" is everything else: checking records and
pictures, the transformers view, scores, 10,000 bootstrap resamples, the paired test, a slice, the
rows.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import hubkit
from hubkit.pipeline.stages import evaluate
from hubkit.quickstart.digits import write_digits

BASE = Path(hubkit.__file__).parent / "quickstart" / "base"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--records", type=int, default=1797, help="digits are repeated beyond 1,797"
    )
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubkit-benchmark-") as temporary:
        data = Path(temporary)
        write_digits(data)
        _repeat(data / "digits.json", arguments.records)
        measured = _measure(
            data, {"batch_size": arguments.batch_size, "threads": arguments.threads}
        )
    _show(arguments.records, measured)


def _repeat(path: Path, count: int) -> None:
    digits = json.loads(path.read_text("utf-8"))
    chosen = [{**digits[n % len(digits)], "id": str(n)} for n in range(count)]
    path.write_text(json.dumps(chosen), "utf-8")


def _measure(data: Path, options: dict[str, Any]) -> dict[str, float]:
    """Seconds: `wall`, of these in `workers`, and of these in `generation`."""
    seconds = {"wall": 0.0, "workers": 0.0, "generation": 0.0}
    ask = evaluate.ask

    def timed(*arguments: Any) -> Any:
        started = time.perf_counter()
        output, answers = ask(*arguments)
        seconds["workers"] += time.perf_counter() - started
        seconds["generation"] += output.total_seconds
        return output, answers

    evaluate.ask = timed  # type: ignore[assignment]
    started = time.perf_counter()
    hubkit.evaluate(
        BASE,
        data / "digits.json",
        images=data / "images",
        baseline=BASE,
        metrics=("exact_match", "anls"),
        options=options,
        samples=data / "rows.jsonl",
    )
    seconds["wall"] = time.perf_counter() - started
    return seconds


def _show(records: int, seconds: dict[str, float]) -> None:
    generation = seconds["generation"]
    engine, own = seconds["workers"] - generation, seconds["wall"] - seconds["workers"]
    print(f"{records:,} records, two models, seconds\n")
    print(
        "| Wall | Generation | Engine beside it | hubkit | hubkit / generation | all beside "
        "generation / generation |"
    )
    print("|---:|---:|---:|---:|---:|---:|")
    print(
        f"| {seconds['wall']:.1f} | {generation:.1f} | {engine:.1f} | {own:.2f} | "
        f"{own / generation:.1%} | {(engine + own) / generation:.1%} |"
    )


if __name__ == "__main__":
    main()
