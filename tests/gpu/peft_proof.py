"""The peft trainer's fast implementation on a GPU is what it is on a CPU, and what transformers and
PEFT are.

    PYTHONPATH=.:plugins/peft:plugins/internvl python tests/gpu/peft_proof.py FOLDER [STEPS]
    [PART...]

Needs torch, transformers, peft and scikit-learn; runs on a CPU too (slowly, and without what only a
GPU has). Proves, on the quickstart's tiny model and handwriting, by part:
- masks: dropout's on the GPU, compiled, are bit for bit the CPU's;
- gradients: compiled or not, packed or padded, loss and gradients are those of transformers and
  PEFT in float32 (and near in bfloat16);
- curves: the loss curves of the fast bfloat16 training and of the plain float32 one agree, and both
  read more than 90 % of 400 held-out digits, as told by transformers' own forward pass;
- continued: an interrupted training with `deterministic: true` continues to the same bytes, in its
  third epoch, where the ViT's features are those of the first;
- kept: with the ViT's features kept from the first epoch, losses are those without;
- shares: with frozen weights in shares, compiled or checkpointed, losses are those without; on two
  GPUs each holds half of every layer too (5 minutes; a training that takes no step in 3 tells
  where its threads are, and fails);
- bits: trained on a base in 4 or 8 bits, where bitsandbytes is there, the adapter reads as well on
  the unquantized base;
- two: with two GPUs, a step is the same as one of twice the batches on one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hubkit_internvl import InternVL
from hubkit_peft import PeftTrainer, adapter, checked, loop, setup, several
from hubkit_peft.fast.dropout import Dropout, token_keys
from hubkit_peft.options import Options

import hubkit
from hubkit.sdk import CancelledError, Record, SilentRun, TrainInput, Turn, write_jsonl
from hubkit.weights.convert import to_native
from hubkit.weights.model import Model

HELD_OUT = 400
SECONDS_A_STEP = 180  # the first one compiles: 100 s on two H200s
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BASE = Path(hubkit.__file__).parent / "quickstart" / "base"


class Notes(SilentRun):
    """Cancels after some steps when told."""

    def __init__(self, stop_after: int = 0) -> None:
        self.stop_after, self.done = stop_after, 0

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        self.done = int(done) if unit == "steps" else self.done

    def check_cancelled(self) -> None:
        if self.stop_after and self.done >= self.stop_after:
            raise CancelledError("interrupted", "run again")


class Impatient(Notes):
    """Makes the processes of `made` tell where their threads are, and fails, when none has taken a
    step for `SECONDS_A_STEP`."""

    def __init__(self, made: TrainInput) -> None:
        super().__init__()
        self.scratch, self.last, self.first = made.scratch, time.monotonic(), 0.0

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        if unit == "steps":
            self.first = self.first or time.monotonic() - self.last
            self.last = time.monotonic()

    def check_cancelled(self) -> None:
        if time.monotonic() - self.last < SECONDS_A_STEP:
            return
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
        for child in map(int, children.split()):
            os.kill(child, signal.SIGABRT)  # Python tells where it is: PYTHONFAULTHANDLER
        time.sleep(3)
        for log in sorted(self.scratch.glob("gpu-*/log")):
            print(f"{log.parent.name}:\n{log.read_text('utf-8', 'replace')}", flush=True)
        raise AssertionError(f"no step in {SECONDS_A_STEP} s")


def job(folder: Path, name: str, **options: Any) -> TrainInput:
    config = json.loads((BASE / "config.json").read_text("utf-8"))
    for part in ("out", "scratch"):
        (folder / name / part).mkdir(parents=True)
    settings = {"rank": 16, "alpha": 32.0, "batch_size": 32, "learning_rate": 1e-3, **options}
    return TrainInput(
        BASE,
        folder / "native",
        InternVL().native(config).groups,
        InternVL().vision(config, None),
        folder / "train.jsonl",
        folder / "data/images",
        folder / name / "out",
        folder / name / "scratch",
        0,
        settings,
    )


def prepare(folder: Path) -> list[Record]:
    """Data and native model; the records held out. The data's module is loaded by its file: its
    package needs all of hubkit."""
    place = importlib.util.spec_from_file_location(
        "hubkit.quickstart.digits", BASE.parent / "digits.py"
    )
    assert place and place.loader
    digits = importlib.util.module_from_spec(place)
    place.loader.exec_module(digits)
    digits.write_digits(folder / "data")
    to_native(Model.of(BASE, InternVL()), folder / "native")
    found = json.loads((folder / "data/digits.json").read_text("utf-8"))
    records = [
        Record(
            one["id"], (one["image"],), (Turn(digits.QUESTION, one["conversations"][1]["value"]),)
        )
        for one in found
    ]
    write_jsonl(folder / "train.jsonl", records[:-HELD_OUT])
    return records[-HELD_OUT:]


def set_up(made: TrainInput) -> Any:
    return setup.prepare(made, Options(**made.options), SilentRun())[0]


def losses(made: TrainInput) -> list[float]:
    return [
        json.loads(line)["loss"]
        for line in (made.output / loop.METRICS).read_text("utf-8").splitlines()
    ]


def same_masks() -> None:
    values = torch.ones(1000, 8192)
    keys = token_keys(3, 7, 1000)
    expected = Dropout(0.05, 5, 8192)(values, keys)
    found = torch.compile(Dropout(0.05, 5, 8192, DEVICE), dynamic=True)(
        values.to(DEVICE), keys.to(DEVICE)
    )
    assert torch.equal(found.cpu() == 0, expected == 0), (
        f"{((found.cpu() == 0) != (expected == 0)).float().mean():.1e} differ"
    )
    torch.testing.assert_close(found.cpu(), expected)


def same_gradients(folder: Path) -> dict[str, float]:
    """The largest relative distance of a gradient from plain float32's, for each way."""
    ways = {
        "plain float32": {"implementation": "plain", "precision": "float32"},
        "float32": {"precision": "float32", "compile": False, "packing": "never"},
        "float32 compiled": {"precision": "float32", "packing": "never"},
        "float32 packed": {"precision": "float32", "packing": "always"},
        "bfloat16 padded": {"precision": "bfloat16", "packing": "never"},
        "bfloat16 packed": {"precision": "bfloat16", "packing": "always"},
        "bfloat16 checkpointed": {
            "precision": "bfloat16",
            "packing": "never",
            "gradient_checkpointing": True,
        },
    }
    expected: dict[str, Any] = {}
    apart = {}
    for name, options in ways.items():
        training = set_up(job(folder, f"gradients {name}", **options))
        dice = torch.Generator().manual_seed(3)
        for key, parameter in training.model.named_parameters():
            if "lora_B" in key:
                parameter.data.copy_(torch.randn(parameter.shape, generator=dice) * 0.05)
        numbers = range(24)
        examples = [training.examples[number] for number in numbers]
        batch = training.program.collate(examples, numbers, 0, training.options.packing)
        training.program.loss(batch.to(DEVICE), learning=True).backward()
        found = {
            key: p.grad.float().cpu()
            for key, p in training.model.named_parameters()
            if p.grad is not None
        }
        expected = expected or found
        assert found.keys() == expected.keys()
        apart[name] = max(
            float((found[key] - expected[key]).norm() / expected[key].norm()) for key in expected
        )
    assert all(
        distance < (1e-3 if name.startswith("float32") else 0.1) for name, distance in apart.items()
    ), apart
    return apart


def same_curves(folder: Path, held: list[Record], steps: int) -> dict[str, Any]:
    ways = {
        "plain float32": {"implementation": "plain", "precision": "float32"},
        "fast bfloat16": {"precision": "bfloat16"},
        "fast bfloat16, dropout 0.05": {"precision": "bfloat16", "dropout": 0.05},
    }
    shown = {}
    for name, options in ways.items():
        made, started = job(folder, f"curve {name}", steps=steps, **options), time.monotonic()
        PeftTrainer().train(made, Notes())
        curve = losses(made)
        mean = [
            sum(curve[start : start + steps // 4]) / (steps // 4)
            for start in range(0, steps, steps // 4)
        ]
        shown[name] = {
            "right": right(folder, made, held),
            "quarters": mean,
            "seconds": time.monotonic() - started,
        }
    plain, fast = (shown[name]["quarters"] for name in ("plain float32", "fast bfloat16"))
    assert all(
        abs(one - other) < 0.02 + 0.05 * other for one, other in zip(fast, plain, strict=True)
    ), shown
    assert steps < 400 or all(way["right"] > 0.9 for way in shown.values()), shown
    return shown


def right(folder: Path, made: TrainInput, held: list[Record]) -> float:
    """Share of the held-out digits that base and adapter, loaded by transformers and PEFT, read
    right."""
    from hubkit_peft.plain import padded
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    encoder = checked.open_encoder(made)
    base = AutoModelForImageTextToText.from_pretrained(folder / "native", dtype=torch.float32)
    model = PeftModel.from_pretrained(base, made.output / adapter.FOLDER).to(DEVICE).eval()
    good = 0
    for start in range(0, len(held), 100):
        examples = [encoder.example(record) for record in held[start : start + 100]]
        batch = {
            name: values.to(DEVICE) for name, values in padded(examples, 0, made.vision).items()
        }
        labels = batch.pop("labels")
        first = (labels >= 0).int().argmax(1)
        with torch.no_grad():
            said = model(**batch).logits[torch.arange(len(first)), first - 1].argmax(-1)
        good += int((said == labels[torch.arange(len(first)), first]).sum())
    return good / len(held)


def few(made: TrainInput) -> TrainInput:
    """The same job with 100 records: three steps are an epoch."""
    lines = made.records.read_text("utf-8").splitlines(keepends=True)[:100]
    path = made.scratch.with_name("few.jsonl")
    path.write_text("".join(lines), "utf-8")
    return replace(made, records=path)


def kept_features_change_nothing(folder: Path) -> float:
    """The largest relative difference between losses over four epochs."""
    options = {"steps": 12, "dropout": 0.05, "deterministic": True}
    found = []
    for cache in (0.0, "auto"):
        made = few(job(folder, f"kept {cache}", cache_vision=cache, **options))
        PeftTrainer().train(made, Notes())
        found.append(losses(made))
    apart = max(abs(a - b) / b for a, b in zip(*found, strict=True))
    assert apart < 0.02, found
    return apart


def continues_exactly(folder: Path) -> None:
    options = {"steps": 12, "checkpoint_every": 4, "dropout": 0.05, "deterministic": True}
    whole, broken = few(job(folder, "whole", **options)), few(job(folder, "broken", **options))
    PeftTrainer().train(whole, Notes())
    try:
        PeftTrainer().train(broken, Notes(stop_after=7))
        raise AssertionError("it was not interrupted")
    except CancelledError:
        pass
    resumed = replace(broken, output=broken.output.with_name("resumed"))
    resumed.output.mkdir()
    PeftTrainer().train(resumed, Notes())
    for name in ("adapter/adapter_model.safetensors", loop.METRICS):
        assert (resumed.output / name).read_bytes() == (whole.output / name).read_bytes(), name


def two_are_one(folder: Path) -> float:
    """The largest relative difference between the losses of two GPUs and of one with twice the
    batches."""
    options = {"steps": 20, "dropout": 0.05, "precision": "float32"}
    one, two = job(folder, "one", accumulation=2, **options), job(folder, "two", gpus=2, **options)
    for each in (one, two):
        PeftTrainer().train(each, Notes())
    apart = max(abs(a - b) / b for a, b in zip(losses(two), losses(one), strict=True))
    assert apart < 0.02, (losses(one), losses(two))
    return apart


def shares_change_nothing(folder: Path) -> float:
    """The largest relative difference between losses with and without shares, over the ways to
    train on one GPU."""
    ways: dict[str, dict[str, Any]] = {
        "float32": {"precision": "float32"},
        "bfloat16": {"precision": "bfloat16"},
        "checkpointed": {"precision": "bfloat16", "gradient_checkpointing": True},
        "plain": {"precision": "float32", "implementation": "plain"},
    }
    apart = 0.0
    for name, way in ways.items():
        options = {
            "steps": 10,
            "dropout": 0.0 if name == "plain" else 0.05,
            "deterministic": True,
            **way,
        }
        made = [
            job(folder, f"{name} shard {shard}", shard=shard, **options)
            for shard in ("never", "always")
        ]
        for each in made:
            PeftTrainer().train(each, Notes())
        whole, shared = (losses(each) for each in made)
        far = max(abs(a - b) / b for a, b in zip(shared, whole, strict=True))
        assert far < (1e-5 if way["precision"] == "float32" else 0.02), (name, shared, whole)
        apart = max(apart, far)
    return apart


def two_shares_change_nothing(folder: Path) -> float:
    """The largest relative difference, over the ways to train on two GPUs. What is compiled is
    compared with what is not: each way that compiles takes minutes."""
    fast, plain = {"dropout": 0.05, "compile": False}, {"implementation": "plain"}
    ways: dict[str, tuple[dict[str, Any], ...]] = {
        "plain": (plain, {**plain, "shard": "always"}),
        "fast": (
            fast,
            {**fast, "shard": "always"},
            {**fast, "shard": "always", "gradient_checkpointing": True},
            {**fast, "shard": "always", "compile": True},
        ),
    }
    os.environ["PYTHONFAULTHANDLER"] = "1"
    apart = 0.0
    for name, (first, *others) in ways.items():
        whole = two_losses(folder, name, {**first, "shard": "never"})
        for number, other in enumerate(others):
            shared = two_losses(folder, f"{name} {number}", other)
            far = max(abs(a - b) / b for a, b in zip(shared, whole, strict=True))
            assert far < 1e-5, (other, shared, whole)
            apart = max(apart, far)
    return apart


def two_losses(folder: Path, name: str, options: dict[str, Any]) -> list[float]:
    common = {"steps": 4, "gpus": 2, "deterministic": True, "precision": "float32"}
    made, started = job(folder, f"two {name}", **common, **options), time.monotonic()
    watch = Impatient(made)
    PeftTrainer().train(made, watch)
    seconds = f"{watch.first:.0f} s to the first step, {time.monotonic() - started:.0f} s in all"
    print(f"  two GPUs, {options}: {seconds}", flush=True)
    return losses(made)


def held_by_each(folder: Path) -> None:
    """Run in two processes: a GPU's own part of the decoder's frozen weights is half of them, to a
    row a tensor."""
    training = set_up(job(folder, f"held {os.environ['RANK']}", shard="always"))
    parts = [part for part in training.program._decoder.parameters() if hasattr(part, "to_local")]
    own, whole = sum(part.to_local().numel() for part in parts), sum(part.numel() for part in parts)
    assert parts and 0.45 < own / whole < 0.55, (own, whole)
    training.gang.wait()


def start_held_by_each(folder: Path) -> None:
    places = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(several._free_port()),
    }
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder), "held"],
            env={**os.environ, **places, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    assert [process.wait(300) for process in started] == [0, 0]


def few_bits_learn(folder: Path, held: list[Record], steps: int) -> dict[str, float] | None:
    """What the adapters read right on the unquantized base; None without bitsandbytes."""
    if importlib.util.find_spec("bitsandbytes") is None:
        return None
    shown = {}
    for bits in ("4bit", "8bit"):
        made = job(folder, f"quantize {bits}", steps=steps, quantize=bits)
        PeftTrainer().train(made, Notes())
        shown[bits] = right(folder, made, held)
    assert steps < 200 or all(share > 0.9 for share in shown.values()), shown
    return shown


def part_gradients(folder: Path, held: list[Record], steps: int) -> str:
    torch.set_float32_matmul_precision("highest")
    return str({name: f"{distance:.1e}" for name, distance in same_gradients(folder).items()})


def part_curves(folder: Path, held: list[Record], steps: int) -> str:
    return json.dumps(same_curves(folder, held, steps), indent=1)


def part_continued(folder: Path, held: list[Record], steps: int) -> str:
    continues_exactly(folder)
    return "the same bytes"


def part_kept(folder: Path, held: list[Record], steps: int) -> str:
    return f"losses at most {kept_features_change_nothing(folder):.1e} apart"


def part_masks(folder: Path, held: list[Record], steps: int) -> str:
    same_masks()
    return "the same bits"


def part_shares(folder: Path, held: list[Record], steps: int) -> str:
    if torch.cuda.device_count() < 2:
        return f"one process: losses at most {shares_change_nothing(folder):.1e} apart"
    start_held_by_each(folder)
    return (
        f"two processes: losses at most {two_shares_change_nothing(folder):.1e} apart, and each "
        "holds half of the decoder's layers"
    )


def part_bits(folder: Path, held: list[Record], steps: int) -> str:
    found = few_bits_learn(folder, held, steps)
    return f"right {found}" if found else "skipped, there is no bitsandbytes"


def part_two(folder: Path, held: list[Record], steps: int) -> str:
    if torch.cuda.device_count() < 2:
        return "skipped, there is one GPU"
    return f"losses at most {two_are_one(folder):.1e} apart"


PARTS = ("masks", "gradients", "curves", "continued", "kept", "shares", "bits", "two")


def main(folder: Path, steps: int, parts: list[str]) -> None:
    folder.mkdir(parents=True)
    held = prepare(folder)
    for part in parts:
        started = time.monotonic()
        print(
            f"{part}: {globals()[f'part_{part}'](folder, held, steps)} "
            f"[{time.monotonic() - started:.0f} s]",
            flush=True,
        )


if __name__ == "__main__":
    if sys.argv[2:] == ["held"]:
        held_by_each(Path(sys.argv[1]))
        sys.exit()
    numbers, names = (
        [word for word in sys.argv[2:] if word.isdigit()],
        [word for word in sys.argv[2:] if not word.isdigit()],
    )
    if len(sys.argv) < 2 or set(names) - set(PARTS):
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), int(numbers[0]) if numbers else 400, names or list(PARTS))
