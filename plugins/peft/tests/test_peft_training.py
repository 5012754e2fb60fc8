"""The trainer on the tiny base: conformance, byte-equal repeats and resumes, the adapter's form."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hubkit_peft import PeftTrainer

from hubkit.sdk import CancelledError, SilentRun
from hubkit.sdk.codec import encode
from hubkit.sdk.testing import check_trainer

pytest.importorskip("peft")


class Notes(SilentRun):
    """Keeps notes and, when told, cancels before a step."""

    def __init__(self, stop_after=None):
        self.notes, self.steps, self.stop_after = [], [], stop_after

    def note(self, message):
        self.notes.append(message)

    def progress(self, done, total, unit, **numbers):
        if unit == "steps":
            self.steps.append(done)

    def check_cancelled(self):
        if self.stop_after is not None and len(self.steps) == self.stop_after:
            raise CancelledError("interrupted", "run again")


def digest(output):
    return {
        path.relative_to(output).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.is_file()
    }


def fresh(job, name):
    output = job.output.with_name(name)
    output.mkdir()
    return replace(job, output=output)


def test_conformance(job):
    output = check_trainer(PeftTrainer(), job())
    assert (output.steps, output.samples, output.format) == (5, 20, "peft")


def test_resumes_from_the_last_checkpoint_to_the_same_bytes(job):
    whole = job(name="whole", dropout=0.1)
    PeftTrainer().train(whole, SilentRun())
    broken = job(name="broken", dropout=0.1)
    with pytest.raises(CancelledError):
        PeftTrainer().train(broken, Notes(stop_after=3))
    resumed, run = fresh(broken, "resumed"), Notes()
    PeftTrainer().train(resumed, run)
    assert run.notes[1:] == ["continuing after step 2"]
    assert run.steps == [3, 4, 5]
    assert digest(resumed.output) == digest(whole.output)


@pytest.mark.integration
def test_killed_and_resumed_gives_the_same_bytes(job):
    """SIGKILL in a process of its own, as soon as there is a checkpoint."""
    whole = job(name="whole", steps=16)
    PeftTrainer().train(whole, SilentRun())
    killed = job(name="killed", steps=16)
    (killed.scratch.parent / "job.json").write_text(json.dumps(encode(killed)), encoding="utf-8")
    program = (
        "import json, sys; from hubkit.sdk import SilentRun, TrainInput; from "
        "hubkit.sdk.codec import decode\n"
        "from hubkit_peft import PeftTrainer\n"
        "PeftTrainer().train(decode(TrainInput, json.load(open(sys.argv[1])), 'job'), "
        "SilentRun())\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(killed.scratch.parent / "job.json")]
    )
    deadline = time.monotonic() + 120
    while (
        not (killed.scratch / "checkpoint.pt").exists()
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    resumed, run = fresh(killed, "resumed"), Notes()
    PeftTrainer().train(resumed, run)
    assert run.notes[1].startswith("continuing after step ")
    assert digest(resumed.output) == digest(whole.output)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"cos\nsystem\n(S'true'\ntR."])
def test_a_broken_checkpoint_is_no_obstacle(job, content):
    whole = job(name="whole", steps=2)
    PeftTrainer().train(whole, SilentRun())
    other, run = job(name="other", steps=2), Notes()
    (other.scratch / "checkpoint.pt").write_bytes(content)
    PeftTrainer().train(other, run)
    assert run.notes[1].startswith("the checkpoint cannot be used")
    assert digest(other.output) == digest(whole.output)


def test_a_checkpoint_of_other_settings_is_not_used(job):
    first = job(name="first")
    with pytest.raises(CancelledError):
        PeftTrainer().train(first, Notes(stop_after=4))
    second = fresh(replace(first, options={**first.options, "learning_rate": 5e-4}), "second")
    run = Notes()
    PeftTrainer().train(second, run)
    assert run.notes[1:] == ["the checkpoint is of another training: starting anew"]
    assert run.steps == [1, 2, 3, 4, 5]


def test_seed_matters(job):
    one, two = job(name="one", steps=1), job(name="two", steps=1)
    PeftTrainer().train(one, SilentRun())
    PeftTrainer().train(replace(two, seed=8), SilentRun())
    assert (
        digest(one.output)["adapter/adapter_model.safetensors"]
        != digest(two.output)["adapter/adapter_model.safetensors"]
    )


def test_adapter_is_a_plain_peft_folder(job, native):
    from peft import PeftModel
    from safetensors import safe_open
    from transformers import AutoModelForImageTextToText

    done = job(steps=1)
    output = PeftTrainer().train(done, SilentRun())
    folder = done.output / output.adapter
    assert sorted(path.name for path in folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    settings = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    assert settings["base_model_name_or_path"] is None
    assert (settings["r"], settings["lora_alpha"], settings["modules_to_save"]) == (
        4,
        32.0,
        ["model.multi_modal_projector"],
    )
    assert settings["target_modules"] == sorted(settings["target_modules"])
    assert len(settings["target_modules"]) == 4 * 7
    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    assert len(shapes) == 4 * 7 * 2 + 6
    assert shapes[
        "base_model.model.model.language_model.layers.3.self_attn.k_proj.lora_B.weight"
    ] == (64, 4)
    assert shapes["base_model.model.model.multi_modal_projector.linear_1.weight"] == (128, 384)
    assert output.trainable_parameters == sum(a * (b[0] if b else 1) for a, *b in shapes.values())
    loaded = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(native), folder)
    assert loaded.peft_config["default"].r == 4


def test_loss_falls_and_metrics_follow_the_schedule(job, records):
    """An answer that the base never gives is learnt in 30 steps."""
    taught = [
        replace(record, turns=(replace(record.turns[0], answer="a tree"),))
        for record in records[:4]
    ]
    done = job(taught, steps=30, learning_rate=3e-3, warmup_ratio=0.1)
    PeftTrainer().train(done, SilentRun())
    lines = [
        json.loads(line) for line in (done.output / "metrics.jsonl").read_text("utf-8").splitlines()
    ]
    assert [line["step"] for line in lines] == list(range(1, 31))
    assert set(lines[0]) == {"step", "loss", "learning_rate"}
    assert [round(line["learning_rate"], 6) for line in lines[:4]] == [0.001, 0.002, 0.003, 0.003]
    assert lines[-1]["learning_rate"] < 1e-4
    assert lines[-1]["loss"] < 0.3 * lines[0]["loss"]


def test_accumulation_equals_a_large_batch(job):
    """Two batches of four weigh as one of eight, to rounding."""
    large, small = (
        job(name="large", steps=1, batch_size=8),
        job(name="small", steps=1, accumulation=2),
    )
    PeftTrainer().train(large, SilentRun())
    PeftTrainer().train(small, SilentRun())
    one, two = (
        json.loads((each.output / "metrics.jsonl").read_text("utf-8")) for each in (large, small)
    )
    assert one["loss"] == pytest.approx(two["loss"], rel=1e-5)


def test_bfloat16_and_checkpointing_train_float32_adapters(job):
    from safetensors.torch import load_file

    done = job(steps=2, precision="bfloat16", gradient_checkpointing=True)
    output = PeftTrainer().train(done, SilentRun())
    tensors = load_file(done.output / output.adapter / "adapter_model.safetensors")
    assert {str(tensor.dtype) for tensor in tensors.values()} == {"torch.float32"}
    assert any(
        name.endswith("lora_B.weight") and tensor.abs().sum() > 0
        for name, tensor in tensors.items()
    )
