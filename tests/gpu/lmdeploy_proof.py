"""LMDeploy as hubkit's engine on a GPU: right answers, transformers' texts, the speed of a cold
start, a server.

    python tests/gpu/lmdeploy_proof.py PART... --python LMDEPLOY_PYTHON --models FOLDER... --project
    FOLDER [--backends ...]

PROJECT is a folder of `hubkit quickstart`; MODELS are its trained model and what lmdeploy_widen.py
makes of it. Run by the interpreter that has hubkit and the transformers engine. Parts:

    answers   held-out digits, over one and two turns, by each backend and by transformers: right,
              and the same texts
    threads   two threads ask one pipeline at once
    serve     `hubkit serve`: a chat completion with a picture, a wrong key, a clean stop
    large     a folder of InternVL2-2B's shapes (random weights): the seconds from a cold start to
              the verdict
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from large import make_large

from hubkit.errors import RefusedError
from hubkit.inference.questions import Questioning, ask
from hubkit.pipeline.spec.fields import PythonEnvironment
from hubkit.pipeline.stages import smoke as smoking
from hubkit.reporting import SilentReporter
from hubkit.sdk import Answer, GenerateOutput, Record, Turn, read_records, write_jsonl
from hubkit.weights.convert import native_view
from hubkit.weights.model import open_model

RUN = SilentReporter()
READ, PARITY = "<image>\nWhich digit is this?", "Is it even or odd?"
RIGHT, SECONDS = 0.9, 60.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="+", choices=("answers", "threads", "serve", "large"))
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--models", type=Path, nargs="*", default=[])
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--backends", nargs="+", default=["pytorch", "turbomind"])
    given = parser.parse_args()
    given.python = given.python.absolute()
    failed = []
    with tempfile.TemporaryDirectory(prefix="hubkit-gpu-") as work:
        for part in given.parts:
            for label, todo in globals()[f"part_{part}"](given, Path(work)):
                started = time.perf_counter()
                try:
                    print(
                        f"{part} {label}: {todo()} [{time.perf_counter() - started:.1f} s]",
                        flush=True,
                    )
                except Exception as error:
                    failed.append(f"{part} {label}")
                    print(
                        f"FAILED {part} {label}: {type(error).__name__}: "
                        f"{str(error)[-3000:]}\n{last_log(Path(work))}",
                        flush=True,
                    )
    raise SystemExit(f"failed: {', '.join(failed)}" if failed else 0)


def last_log(work: Path) -> str:
    """The end of what the latest worker wrote."""
    logs = sorted(work.rglob("stderr.log"), key=lambda path: path.stat().st_mtime)
    return "\n".join(logs[-1].read_text("utf-8", "replace").splitlines()[-25:]) if logs else ""


def backends(model: Path, given: argparse.Namespace) -> list[str]:
    """TurboMind takes no heads below 64 dimensions."""
    config = json.loads((model / "config.json").read_text("utf-8"))["llm_config"]
    small = config["hidden_size"] // config["num_attention_heads"] < 64
    return [backend for backend in given.backends if backend == "pytorch" or not small]


def questions(given: argparse.Namespace, count: int = 40) -> list[Record]:
    """Held-out digits, the first eight over two turns, whose second answers follow from the
    first."""
    held = islice(read_records(given.project / "holdout.jsonl"), count)
    return [
        Record(
            r.id,
            r.images,
            (
                Turn(READ, r.turns[0].answer),
                Turn(PARITY, "odd" if int(r.turns[0].answer) % 2 else "even"),
            ),
        )
        if number < 8
        else Record(r.id, r.images, (Turn(READ, r.turns[0].answer),))
        for number, r in enumerate(held)
    ]


def answered(
    engine: str,
    model: Path,
    records: list[Record],
    given: argparse.Namespace,
    work: Path,
    **options: Any,
) -> tuple[GenerateOutput, list[Answer]]:
    where: Any = PythonEnvironment(python=given.python) if engine == "lmdeploy" else "current"
    loaded = open_model(model)
    native = native_view(loaded, work / f"native-{model.name}", RUN)
    out = Path(tempfile.mkdtemp(dir=work))
    return ask(
        Questioning(engine, where, options, 8, records, given.project / "images"),
        loaded,
        native,
        out,
        RUN,
    )


def part_answers(given: argparse.Namespace, work: Path) -> Iterator[tuple[str, Any]]:
    records = questions(given)
    for model in given.models:
        reference = answered("transformers", model, records, given, work)
        for backend in backends(model, given):
            yield (
                f"{model.name} {backend}",
                lambda m=model, b=backend, r=reference: compare(m, b, r, records, given, work),
            )


def compare(
    model: Path,
    backend: str,
    reference: Any,
    records: list[Record],
    given: argparse.Namespace,
    work: Path,
) -> str:
    output, answers = answered(
        "lmdeploy", model, records, given, work, backend=backend, cache_share=0.1
    )
    wanted, theirs = reference
    right = sum(a.texts[0] == r.turns[0].answer for a, r in zip(answers, records, strict=True))
    second = sum(
        a.texts[1] == r.turns[1].answer
        for a, r in zip(answers, records, strict=True)
        if len(r.turns) == 2
    )
    same = sum(a.texts == b.texts for a, b in zip(answers, theirs, strict=True))
    assert right >= RIGHT * len(records), f"only {right} of {len(records)} digits are right"
    assert same == len(records), [
        (a.id, a.texts, b.texts) for a, b in zip(answers, theirs, strict=True) if a.texts != b.texts
    ]
    assert output.prompt == wanted.prompt, (output.prompt, wanted.prompt)
    assert not wanted.prompt_ids or output.prompt_ids == wanted.prompt_ids, (
        output.prompt_ids,
        wanted.prompt_ids,
    )
    assert {reason for answer in answers for reason in answer.finish} == {"stop"}
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in output.numbers.items())
    return (
        f"{right} of {len(records)} right, {second} of 8 second turns right, all {same} as "
        f"transformers, prompt and {len(output.prompt_ids)} ids equal, template {output.template}; "
        f"loaded in {output.load_seconds:.1f} s; {numbers}"
    )


def part_threads(given: argparse.Namespace, work: Path) -> Iterator[tuple[str, Any]]:
    records = work / "threads.jsonl"
    write_jsonl(records, questions(given, 8))
    for model in given.models:
        for backend in backends(model, given):
            yield (
                f"{model.name} {backend}",
                lambda m=model, b=backend: threads(m, b, records, given),
            )


def threads(model: Path, backend: str, records: Path, given: argparse.Namespace) -> str:
    script = Path(__file__).with_name("lmdeploy_threads.py")
    command = [
        given.python,
        script,
        model.absolute(),
        records,
        (given.project / "images").absolute(),
        backend,
    ]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    assert "event loop" not in done.stderr.lower(), done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]


def part_serve(given: argparse.Namespace, work: Path) -> Iterator[tuple[str, Any]]:
    for model in given.models:
        for backend in backends(model, given):
            yield f"{model.name} {backend}", lambda m=model, b=backend: serve(m, b, given)


def serve(model: Path, backend: str, given: argparse.Namespace) -> str:
    from hubkit.inference.serving import serve as served

    record, key = questions(given, 1)[0], "key-of-this-proof"
    started = time.perf_counter()
    with served(
        model,
        engine="lmdeploy",
        environment=PythonEnvironment(python=given.python),
        api_key=key,
        options={"backend": backend, "cache_share": 0.1},
        name="hubkit/tiny",
    ) as server:
        ready = time.perf_counter() - started
        picture = base64.b64encode(
            (given.project / "images" / record.images[0]).read_bytes()
        ).decode()
        content = [
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
            {"type": "text", "text": READ.removeprefix("<image>\n")},
        ]
        body = {
            "model": "hubkit/tiny",
            "temperature": 0,
            "max_tokens": 8,
            "messages": [{"role": "user", "content": content}],
        }
        status, answer = post(f"{server.url}/v1/chat/completions", body, key)
        assert status == 200, answer
        text = json.loads(answer)["choices"][0]["message"]["content"].strip()
        assert text == record.turns[0].answer, (text, record.turns[0].answer)
        assert post(f"{server.url}/v1/chat/completions", body, "another-key")[0] == 401
        arguments = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
        assert key not in arguments
        stopping = time.perf_counter()
    stopped = time.perf_counter() - stopping
    host, port = server.url.removeprefix("http://").split(":")
    with socket.socket() as probe:
        assert probe.connect_ex((host, int(port))) != 0, "the port is still open"
    left = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
    assert "hubkit_lmdeploy.server" not in left, left
    return (
        f"ready after {ready:.1f} s, answered {text!r}, refused another key, stopped in "
        f"{stopped:.1f} s"
    )


def post(url: str, body: Any, key: str) -> tuple[int, str]:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def part_large(given: argparse.Namespace, work: Path) -> Iterator[tuple[str, Any]]:
    model = work / "InternVL2-2B-Random"
    make_large(model)
    for backend in given.backends:
        yield backend, lambda b=backend: cold_start(model, b, given, work)


def cold_start(model: Path, backend: str, given: argparse.Namespace, work: Path) -> str:
    """Random weights talk without end, so the verdict is a refusal."""
    out = Path(tempfile.mkdtemp(dir=work))
    records = [
        Record(
            "picture",
            ("0000.png",),
            (Turn("<image>\nDescribe this picture.", ""), Turn("Again.", "")),
        )
    ]
    where = PythonEnvironment(python=given.python)
    asked = Questioning(
        "lmdeploy", where, {"backend": backend}, 64, records, given.project / "images"
    )
    started = time.perf_counter()
    loaded = open_model(model)
    native = native_view(loaded, out / "native", RUN)
    viewed = time.perf_counter() - started
    try:
        smoking.smoke(asked, loaded, native, out, RUN)
        verdict = "passed"
    except RefusedError as error:
        verdict = f"refused ({error.message.splitlines()[1].strip()[:60]})"
    seconds = time.perf_counter() - started
    shutil.rmtree(out / "native", ignore_errors=True)
    result = json.loads((out / "worker" / "output.json").read_text("utf-8"))["result"]
    assert seconds <= SECONDS, f"{seconds:.1f} s, {result}"
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in result["numbers"].items())
    return (
        f"{seconds:.1f} s to the verdict, {verdict}; view {viewed:.1f} s, load "
        f"{result['load_seconds']:.1f} s; {numbers}"
    )


if __name__ == "__main__":
    main()
