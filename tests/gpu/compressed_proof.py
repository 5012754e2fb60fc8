"""What llm-compressor makes of a model, asked by transformers: bytes, seconds, answers beside those
of the whole model.

    python tests/gpu/compressed_proof.py [FOLDER]     # FOLDER as benchmarks/train_gpu.py makes it

Without FOLDER: the quickstart's base, widened to heads of 64, on printed digits. Run by an
interpreter that has llm-compressor and the transformers engine.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from hubkit_compressed import CompressedExporter
from hubkit_internvl import InternVL
from hubkit_transformers import TransformersEngine
from lmdeploy_widen import widen

from hubkit.quickstart.glyphs import draw
from hubkit.reporting import SilentReporter
from hubkit.sdk import (
    Answer,
    ExportInput,
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

BASE = Path(__file__).parents[2] / "hubkit" / "quickstart" / "base"
RUN, DIGITS, LARGE, ALIKE = SilentReporter(), 200, 32, 0.9
SCHEMES = ("fp8", "w8a8", "w4a16")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="hubkit-gpu-", dir=Path.cwd()) as work:
        place = Path(work)
        trained = len(sys.argv) < 2
        asked = digits(place) if trained else large(Path(sys.argv[1]), place)
        whole = answers(asked, asked.native, place / "whole")
        for scheme in SCHEMES:
            made, before = place / scheme, time.perf_counter()
            made.mkdir()
            group = 64 if trained else 128
            job = ExportInput(
                *(asked.model, asked.native, asked.vision, "Proof", made),
                {"scheme": scheme, "group": group},
            )
            CompressedExporter().export(job, RUN)
            seconds = time.perf_counter() - before
            size = (made / "model.safetensors").stat().st_size
            print(f"{scheme}: made in {seconds:.1f} s, {size:,} bytes", flush=True)
            found = answers(asked, made, place / f"by-{scheme}")
            same = sum(a.texts == b.texts for a, b in zip(found, whole, strict=True))
            print(f"{scheme}: {same} of {len(whole)} texts as the whole model's", flush=True)
            assert not trained or same >= ALIKE * len(whole)


def digits(place: Path) -> GenerateInput:
    widen(BASE, place / "wide")
    model = Model.of(place / "wide", InternVL())
    native, dice, made = native_view(model, place / "native", RUN), random.Random(3), []
    for number in range(DIGITS):
        side = model.vision.tile
        draw(number % 10, side, side, dice, 0.3).save(place / f"{number}.png")
        turn = Turn("<image>\nWhich digit is this?", str(number % 10))
        made.append(Record(str(number), (f"{number}.png",), (turn,)))
    write_jsonl(place / "records.jsonl", made)
    records = place / "records.jsonl"
    return GenerateInput(model.folder, native, model.vision, records, place, place, 4, {})


def large(folder: Path, place: Path) -> GenerateInput:
    vision = decode(
        Vision, json.loads((folder / "job.json").read_text("utf-8"))["vision"], "vision"
    )
    records = place / "records.jsonl"
    write_jsonl(records, islice(read_records(folder / "records.jsonl"), LARGE))
    native, images = folder / "native", folder / "images"
    return GenerateInput(folder / "base", native, vision, records, images, place, 32, {})


def answers(asked: GenerateInput, native: Path, out: Path) -> list[Answer]:
    """Printed too: memory, tokens a second, right ones."""
    import torch

    out.mkdir()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    job = GenerateInput(
        *(asked.model, native, asked.vision, asked.records, asked.images, out),
        asked.max_new_tokens,
        {"exact": False},
    )
    output = TransformersEngine().generate(job, RUN)
    found = list(read_answers(out / output.answers))
    right = sum(
        answer.texts[0] == record.turns[0].answer
        for answer, record in zip(found, read_records(asked.records), strict=True)
    )
    tokens = sum(sum(answer.tokens) for answer in found)
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    print(
        f"{native.name}: loaded in {output.load_seconds:.1f} s, {right} of {len(found)} right, "
        f"{tokens / output.total_seconds:.0f} tokens/s, {peak / 2**30:.2f} GiB at most",
        flush=True,
    )
    return found


if __name__ == "__main__":
    main()
