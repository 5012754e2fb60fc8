"""XTuner's other ways on this machine's GPU, each with the quickstart's tiny model, side by side.

    python tests/gpu/xtuner_variants.py FOLDER XTUNER_PYTHON [VARIANT...]

Proves for ZeRO-1, ZeRO-2 with and without the optimizer's state, ZeRO-3, offloading, no DeepSpeed
(mixed precision), QLoRA (where XTUNER_PYTHON has bitsandbytes) and xtuner's own prompt: it trains,
and hubkit merges what it wrote. `continued`: a training with ZeRO-2 that is interrupted after a
checkpoint and continued ends in the same bytes as an undisturbed one. All of them without a name.
`two nodes`, by name alone: two of one GPU each, on one machine, train together as in a job.
Prints one JSON line each; exits 1 when one fails.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import hubkit
from hubkit.digests import sha256
from hubkit.environments import Environment, call
from hubkit.quickstart.glyphs import draw
from hubkit.registry.plugins import plugins
from hubkit.sdk import CancelledError, HubkitError, Record, SilentRun, TrainInput, Turn, write_jsonl
from hubkit.weights.convert import to_native
from hubkit.weights.merge import merge
from hubkit.weights.model import Model

BASE = Path(hubkit.__file__).parent / "quickstart" / "base"
VARIANTS: dict[str, dict[str, Any]] = {
    "zero1": {"deepspeed": "zero1"},
    "zero2": {},
    "zero2 without optimizer": {"save_optimizer": False},
    "zero2 offload": {"deepspeed": "zero2_offload"},
    "zero3": {"deepspeed": "zero3"},
    "zero3 without optimizer": {"deepspeed": "zero3", "save_optimizer": False},
    "no deepspeed": {"deepspeed": "none"},
    "quantized": {"quantize": True},
    "xtuner's prompt": {"prompt": "xtuner"},
}
CONTINUED, NODES = "continued", "two nodes"


class Impatient(SilentRun):
    """Interrupts after `step` iterations."""

    def __init__(self, step: int) -> None:
        self.step, self.done = step, 0.0

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        self.done = done if unit == "iterations" else 0.0

    def check_cancelled(self) -> None:
        if self.done >= self.step:
            raise CancelledError("interrupted", "run again")


def job_for(folder: Path, name: str, options: dict[str, Any]) -> TrainInput:
    family = plugins().get("family", "internvl")
    config = json.loads((BASE / "config.json").read_text("utf-8"))
    place = folder / name.replace(" ", "-").replace("'", "")
    for one in ("out", "scratch"):
        (place / one).mkdir(parents=True, exist_ok=True)
    settings = {
        "rank": 4,
        "alpha": 8,
        "dropout": 0.05,
        "batch_size": 4,
        "accumulation": 2,
        "iterations": 24,
        "learning_rate": 1e-3,
        "warmup_ratio": 0.1,
        "log_every": 1,
        "save_every": 8,
        "workers": 1,
        **options,
    }
    return TrainInput(
        BASE,
        folder / "native",
        family.native(config).groups,
        family.vision(config, None),
        folder / "records.jsonl",
        folder / "images",
        place / "out",
        place / "scratch",
        7,
        settings,
    )


def train(job: TrainInput, python: Path, run: Any, given: Mapping[str, str] | None = None) -> Any:
    trainer = plugins().get("trainer", "xtuner")
    return call(
        trainer,
        "train",
        job,
        environment=Environment(python),
        run=run,
        folder=job.output.parent / f"worker-{job.output.name}",
        given=given,
    )


def variant(folder: Path, python: Path, name: str) -> dict[str, Any]:
    job, started = job_for(folder, name, VARIANTS[name]), time.monotonic()
    try:
        output = train(job, python, SilentRun())
        made = merge(
            Model.of(BASE, plugins().get("family", "internvl")),
            job.output / output.adapter,
            job.output.parent / "merged",
        )
    except HubkitError as error:
        return {"variant": name, "ok": False, "error": error.message[-2500:]}
    losses = [
        json.loads(line)["loss"]
        for line in (job.output / output.metrics).read_text("utf-8").splitlines()
    ]
    shown = {
        "seconds": round(time.monotonic() - started, 1),
        "losses": [losses[0], losses[-1]],
        "prompt": output.prompt[:60],
    }
    return {
        "variant": name,
        "ok": made.merged == 21,
        "merged": made.merged,
        "replaced": made.replaced,
        **shown,
    }


def continued(folder: Path, python: Path) -> dict[str, Any]:
    whole, broken = job_for(folder, "whole", {}), job_for(folder, "broken", {})
    try:
        first = train(whole, python, SilentRun())
        try:
            train(broken, python, Impatient(12))
        except CancelledError:
            kept = sorted(path.name for path in (broken.scratch / "work").glob("iter_*.pth"))
        second = train(broken, python, SilentRun())
    except HubkitError as error:
        return {"variant": CONTINUED, "ok": False, "error": error.message[-2500:]}
    digests = [sha256(job.output / out.adapter) for job, out in ((whole, first), (broken, second))]
    return {
        "variant": CONTINUED,
        "ok": digests[0] == digests[1],
        "from": kept,
        "digests": [one[:12] for one in digests],
    }


def nodes(folder: Path, python: Path) -> dict[str, Any]:
    """Two calls as hubkit makes them on two nodes of a job; each sees one GPU."""
    job = job_for(folder, NODES, {"batch_size": 2})
    place = {"PET_NNODES": "2", "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": "29517"}

    def one(rank: int) -> Any:
        own = replace(job, output=job.output.with_name(f"out-{rank}"))
        own.output.mkdir()
        given = {**place, "PET_NODE_RANK": str(rank), "CUDA_VISIBLE_DEVICES": str(rank)}
        return train(own, python, SilentRun(), given)

    started = time.monotonic()
    try:
        with ThreadPoolExecutor(2) as pool:
            output, _ = pool.map(one, (0, 1))
        family, out = plugins().get("family", "internvl"), job.output.with_name("out-0")
        made = merge(Model.of(BASE, family), out / output.adapter, job.output.parent / "merged")
    except HubkitError as error:
        return {"variant": NODES, "ok": False, "error": error.message[-2500:]}
    lines = (out / output.metrics).read_text("utf-8").splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    shown = {"devices": output.settings["devices"], "losses": [losses[0], losses[-1]]}
    shown |= {"seconds": round(time.monotonic() - started, 1)}
    return {"variant": NODES, "ok": made.merged == 21 and shown["devices"] == 2, **shown}


def main(folder: Path, python: Path, names: list[str]) -> int:
    (folder / "images").mkdir(parents=True)
    dice, records = random.Random(5), []
    for number in range(40):
        draw(number % 10, 56, 56, dice).save(folder / "images" / f"{number}.png")
        records.append(
            Record(
                str(number),
                (f"{number}.png",),
                (Turn("<image>\nWhich digit is this?", str(number % 10)),),
            )
        )
    write_jsonl(folder / "records.jsonl", records)
    to_native(Model.of(BASE, plugins().get("family", "internvl")), folder / "native")
    with ThreadPoolExecutor(8) as pool:
        prove = lambda name: (  # noqa: E731
            APART[name](folder, python) if name in APART else variant(folder, python, name)
        )
        found = list(pool.map(prove, names))
    for one in found:
        print(json.dumps(one, ensure_ascii=False), flush=True)
    return 0 if all(one["ok"] for one in found) else 1


APART = {CONTINUED: continued, NODES: nodes}


if __name__ == "__main__":
    known = [CONTINUED, *VARIANTS]  # and two nodes, which need two GPUs
    if len(sys.argv) < 3 or set(sys.argv[3:]) - {*known, NODES}:
        raise SystemExit(f"{__doc__}\nvariants: {', '.join([*known, NODES])}")
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or known))
