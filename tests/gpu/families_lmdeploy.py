"""LMDeploy's PyTorch engine answers word for word as transformers, from a tiny Qwen2.5-VL that
hubkit trained and merged.

    python tests/gpu/families_lmdeploy.py --python LMDEPLOY_PYTHON
    python tests/gpu/families_lmdeploy.py                      # makes and asks it with transformers

Run by the interpreter that has hubkit with torch, transformers and peft. A base that describes
pictures of two colours is taught to answer with the left one, merged, and asked about 32 fresh
pictures: greedily, by the transformers engine and by LMDeploy itself on the same folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import hubkit
from hubkit.environments import CURRENT
from hubkit.inference.questions import Questioning, ask
from hubkit.reporting import SilentReporter
from hubkit.sdk import IMAGE, Record, Turn
from hubkit.weights.convert import native_view
from hubkit.weights.model import open_model

sys.path.insert(0, str(Path(__file__).parents[1]))
from testing import tiny_processor as tiny

STEPS, TAUGHT, ASKED, RIGHT = 500, 320, 32, 0.7
ASK = """
import json, sys
from lmdeploy import GenerationConfig, PytorchEngineConfig, pipeline
from PIL import Image

folder, images, question = sys.argv[1:4]
settings = PytorchEngineConfig(dtype="bfloat16", session_len=1024, eager_mode=True)
greedy = GenerationConfig(do_sample=False, max_new_tokens=16)
with pipeline(folder, backend_config=settings) as ask:
    for number in range(int(sys.argv[4])):
        picture = Image.open(f"{images}/{number}.png").convert("RGB")
        parts = [
            {"type": "image_data", "image_data": {"data": picture}},
            {"type": "text", "text": question},
        ]
        said = ask([{"role": "user", "content": parts}], gen_config=greedy)
        print("ANSWER", json.dumps(said.text.strip()), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubkit-gpu-") as place:
        model, wanted = make(Path(place))
        fresh = tiny.answers(Path(place) / "fresh", ASKED, 9)
        right = [row["conversations"][1]["value"] for row in fresh]
        texts = asked(model, Path(place))
        share = sum(text == answer for text, answer in zip(texts, right, strict=True)) / ASKED
        print(f"{wanted}; transformers answers {share:.0%} of {ASKED} right", flush=True)
        assert share >= RIGHT, list(zip(texts, right, strict=True))
        if given.python:
            theirs = by_lmdeploy(given.python.absolute(), model, Path(place))
            pairs = list(zip(texts, theirs, strict=True))
            same = sum(mine == other for mine, other in pairs)
            print(f"LMDeploy: {same} of {ASKED} texts as transformers", flush=True)
            assert same == ASKED, [pair for pair in pairs if pair[0] != pair[1]]


def make(place: Path) -> tuple[Path, str]:
    """The merged folder, and what was merged."""
    from hubkit_peft import PeftTrainer

    from hubkit.sdk import SilentRun

    base = tiny.make(tiny.QWEN, place / "base", STEPS)
    rows = tiny.answers(place / "images", TAUGHT, 3)
    records = [_record(row) for row in rows]
    job, _ = tiny.jobs(base, place / "job", records, place / "images")
    job.options.update(steps=250, batch_size=8, rank=8, alpha=16, learning_rate=3e-3)
    trained = PeftTrainer().train(job, SilentRun())
    report = hubkit.merge(base, job.output / trained.adapter, place / "Qwen2.5-VL-Colours")
    assert hubkit.check(place / "Qwen2.5-VL-Colours") == ()
    return place / "Qwen2.5-VL-Colours", report.summary


def _record(row: dict[str, Any], answer: bool = True) -> Record:
    asked, said = (one["value"] for one in row["conversations"])
    assert asked.startswith(IMAGE)
    return Record(row["id"], (row["image"],), (Turn(asked, said if answer else ""),))


def asked(model: Path, place: Path) -> list[str]:
    """By hubkit's engine, on the GPU in bfloat16 where there is one."""
    loaded, run = open_model(model), SilentReporter()
    records = [
        Record(str(n), (f"{n}.png",), (Turn(f"{IMAGE}\n{tiny.ASK}", ""),)) for n in range(ASKED)
    ]
    questioning = Questioning("transformers", CURRENT, {}, 16, records, place / "fresh")
    native = native_view(loaded, place / "native", run)
    _, answers = ask(questioning, loaded, native, place / "asked", run)
    return [answer.texts[0] for answer in answers]


def by_lmdeploy(python: Path, model: Path, place: Path) -> list[str]:
    command = [str(python), "-c", ASK, str(model), str(place / "fresh"), tiny.ASK, str(ASKED)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=500)
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    return [json.loads(line.removeprefix("ANSWER ")) for line in lines]


if __name__ == "__main__":
    main()
