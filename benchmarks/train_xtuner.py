"""Training InternVL2-2B's true dimensions with XTuner, through hubkit's trainer; prints samples a
second and peak memory as JSON.

    python benchmarks/train_xtuner.py --python XTUNER_ENVIRONMENT/bin/python            # needs a
                                                                                        GPU
    python benchmarks/train_xtuner.py --python ... --size tiny --tiles 1 --batch 2      # to see
                                                                                        that it
                                                                                        works, on a
                                                                                        CPU too

Weights are synthetic (see merge.py). A record is one picture of 6 tiles and a thumbnail, 71 to 128
tokens of text, of which about 48 are the answer. LoRA r 128, alpha 256, dropout 0.05 on all linear
layers of the language model, `mlp1` whole, ZeRO-2. The rate is the median over all iterations but
the first ten, as XTuner's log has them.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import tempfile
from pathlib import Path
from typing import Any

import merge

GRIDS = {1: (1, 1), 3: (2, 1), 7: (3, 2), 13: (4, 3)}
"""Tiles, the thumbnail among them, to columns and rows."""
SKIPPED = 10


def make_base(folder: Path, size: str) -> None:
    """An official folder of that size with the quickstart's tokenizer: the text is tiny, the
    dimensions are true."""
    import shutil

    import hubkit
    from hubkit.registry.plugins import plugins

    settings, tokens = merge.config(size), Path(hubkit.__file__).parent / "quickstart" / "base"
    settings["vision_config"]["model_type"], settings["min_dynamic_patch"] = "intern_vit_6b", 1
    settings["llm_config"]["model_type"] = "internlm2"
    folder.mkdir()
    layout = {
        name: ("BF16", tuple(shape))
        for name, shape in plugins().get("family", "internvl").layout(settings).items()
    }
    merge._write_model(folder, layout)
    (folder / "config.json").write_text(json.dumps(settings))
    for name in (
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "generation_config.json",
    ):
        shutil.copyfile(tokens / name, folder / name)


def make_records(folder: Path, count: int, tiles: int, side: int) -> None:
    from PIL import Image

    from hubkit.sdk import Record, Turn, write_jsonl

    dice, (columns, rows) = random.Random(0), GRIDS[tiles]
    (folder / "images").mkdir()
    records = []
    for number in range(count):
        noise = Image.effect_noise((columns * side // 8, rows * side // 8), 64).resize(
            (columns * side, rows * side)
        )
        noise.convert("RGB").save(folder / "images" / f"{number}.jpg", quality=80)
        digits = lambda n: "".join(str(dice.randrange(10)) for _ in range(n))  # noqa: E731
        turn = Turn(f"<image>\n{digits(dice.randint(10, 67))}", digits(47))
        records.append(Record(str(number), (f"{number}.jpg",), (turn,)))
    write_jsonl(folder / "records.jsonl", records)


def run(
    python: Path, size: str, tiles: int, options: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """Trains once; `options` are the trainer's."""
    from hubkit.environments import Environment, call
    from hubkit.registry.plugins import plugins
    from hubkit.sdk import TrainInput

    family = plugins().get("family", "internvl")
    base = folder / "base"
    make_base(base, size)
    config = json.loads((base / "config.json").read_text())
    vision = family.vision(config, None)
    iterations, batch = options["iterations"], options["batch_size"]
    make_records(folder, min(iterations * batch, 128), tiles, vision.tile)
    for name in ("output", "scratch"):
        (folder / name).mkdir()
    job = TrainInput(
        base=base,
        native=base,
        groups=family.native(config).groups,
        vision=vision,
        records=folder / "records.jsonl",
        images=folder / "images",
        output=folder / "output",
        scratch=folder / "scratch",
        seed=0,
        options=options,
    )
    trainer = plugins().get("trainer", "xtuner")
    output = call(
        trainer,
        "train",
        job,
        environment=Environment(python),
        run=Shown(),
        folder=folder / "worker",
    )
    shown = {
        "size": size,
        "tiles": tiles,
        "batch": batch,
        "attention": options.get("attention", "auto"),
    }
    counted = {
        "trainable_parameters": output.trainable_parameters,
        "settings": dict(output.settings),
    }
    return {**shown, **measured(folder / "scratch", batch), **counted}


def measured(scratch: Path, batch: int) -> dict[str, float]:
    """From XTuner's own log: seconds an iteration, and MB at the peak (GPU only)."""
    text = "".join(
        path.read_text("utf-8", "replace") for path in sorted((scratch / "work").glob("*/*.log"))
    )
    seconds = [float(found) for found in re.findall(r"Iter\(train\).*?  time: ([\d.]+)", text)][
        SKIPPED:
    ]
    peak = [int(found) for found in re.findall(r"Iter\(train\).*?  memory: (\d+)", text)]
    median = statistics.median(seconds) if seconds else 0.0
    printed = (scratch / "train.log").read_text("utf-8", "replace")
    tokens = [int(found) for found in re.findall(r"dynamic token length: (\d+)", printed)]
    return {
        "samples_per_second": round(batch / median, 2) if median else 0.0,
        "seconds_per_iteration": round(median, 4),
        "peak_gb": round(max(peak, default=0) / 1000, 2),
        "longest": max(tokens, default=0),
    }


class Shown:
    """Notes and every tenth iteration on stderr."""

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        if done % 10 == 0 or done == total:
            self.note(
                f"{done:.0f}/{total:.0f} {unit} "
                + " ".join(f"{name}={value:.4g}" for name, value in numbers.items())
            )

    def note(self, message: str) -> None:
        import sys

        print(message, file=sys.stderr, flush=True)

    def check_cancelled(self) -> None: ...


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--python", type=Path, required=True, help="interpreter of an environment with XTuner"
    )
    parser.add_argument("--size", choices=list(merge.LLM), default="2B")
    parser.add_argument("--tiles", type=int, choices=list(GRIDS), default=7)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--accumulation", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--deepspeed", default="auto")
    parser.add_argument(
        "--attention", default="auto", help="eager: as the model's own code does without flash-attn"
    )
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    wanted = {
        "rank": 128,
        "alpha": 256,
        "dropout": 0.05,
        "batch_size": given.batch,
        "accumulation": given.accumulation,
        "iterations": given.iterations,
        "learning_rate": 3e-5,
        "warmup_ratio": 0.1,
        "workers": 4,
        "log_every": 1,
        "save_every": 10**6,
        "save_optimizer": False,
        "deepspeed": given.deepspeed,
        "attention": given.attention,
    }
    with tempfile.TemporaryDirectory(prefix="hubkit-bench-") as place:
        print(json.dumps(run(given.python, given.size, given.tiles, wanted, Path(place))))
