"""The engine `openai` asks LMDeploy's api_server: the texts of the transformers engine.

    python tests/gpu/openai_proof.py --python LMDEPLOY_PYTHON

The quickstart's base on printed digits, over one turn and two. Run by an interpreter that has
hubkit and the transformers engine; the server is LMDeploy's own, `lmdeploy serve api_server`, on
the PyTorch engine, with the folder as it would be published.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from hubkit_internvl import InternVL
from hubkit_openai import OpenAIEngine
from hubkit_transformers import TransformersEngine

from hubkit.quickstart.glyphs import draw
from hubkit.reporting import SilentReporter
from hubkit.sdk import Answer, GenerateInput, Record, Server, Turn, read_answers, write_jsonl
from hubkit.weights.convert import native_view
from hubkit.weights.model import Model

BASE = Path(__file__).parents[2] / "hubkit" / "quickstart" / "base"
PORT, RUN, DIGITS, SECONDS = 23391, SilentReporter(), 40, 150.0
READ, PARITY = "<image>\nWhich digit is this?", "Is it even or odd?"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", type=Path, required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubkit-gpu-") as work:
        place = Path(work)
        shutil.copytree(BASE, place / "InternVL2-Tiny")
        model = Model.of(place / "InternVL2-Tiny", InternVL())
        records(place, model.vision.tile)
        native = native_view(model, place / "native", RUN)
        wanted = asked(TransformersEngine(), model, native, place, None)
        server = serve(given.python, model.folder, place / "server.log")
        try:
            url = f"http://127.0.0.1:{PORT}/v1"
            wait(server, f"{url}/models", place / "server.log")
            found = asked(OpenAIEngine(), model, model.folder, place, Server(url))
        finally:
            server.terminate()
            server.wait(30)
    same = sum(mine.texts == other.texts for mine, other in zip(found, wanted, strict=True))
    right = sum(answer.texts[0] == str(n % 10) for n, answer in enumerate(found))
    print(f"openai: {right} of {DIGITS} right, {same} of {DIGITS} records as transformers")
    differing = [(a.texts, b.texts) for a, b in zip(found, wanted, strict=True) if a != b]
    assert same == DIGITS, differing


def records(place: Path, side: int) -> None:
    dice, made = random.Random(3), []
    for number in range(DIGITS):
        draw(number % 10, side, side, dice, 0.2).save(place / f"{number}.png")
        turns = (Turn(READ, ""), Turn(PARITY, "")) if number < 8 else (Turn(READ, ""),)
        made.append(Record(str(number), (f"{number}.png",), turns))
    write_jsonl(place / "records.jsonl", made)


def asked(
    engine: TransformersEngine | OpenAIEngine,
    model: Model,
    native: Path,
    place: Path,
    server: Server | None,
) -> list[Answer]:
    out = place / engine.name
    out.mkdir()
    job = GenerateInput(
        *(model.folder, native, model.vision, place / "records.jsonl", place, out),
        8,
        {"models": {"InternVL2-Tiny": "tiny"}} if server else {},
        server,
    )
    return list(read_answers(out / engine.generate(job, RUN).answers))


def serve(python: Path, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    command = [str(python), "-m", "lmdeploy", "serve", "api_server", str(folder)]
    command += ["--backend", "pytorch", "--server-port", str(PORT), "--server-name", "127.0.0.1"]
    command += ["--model-name", "tiny", "--dtype", "bfloat16", "--cache-max-entry-count", "0.1"]
    command += ["--eager-mode", "--trust-remote-code"]
    with log.open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=os.environ)


def wait(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(1)
    raise SystemExit("the server did not start:\n" + log.read_text("utf-8", "replace")[-4000:])


if __name__ == "__main__":
    main()
