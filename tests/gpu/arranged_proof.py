"""The peft trainer's fast implementation of models whose own processors arrange their pictures is,
on a GPU, what transformers and PEFT are.

    PYTHONPATH=.:tests:plugins/peft:plugins/qwen_vl:plugins/llava_next python
    tests/gpu/arranged_proof.py FOLDER [KIND...]

Needs torch, transformers and peft; runs on a CPU too (slowly). Shows for tiny models of each kind
how far gradients are from those of the modules in float32, by the norm of each tensor: compiled or
not, packed or padded, in float32 and bfloat16; then whether two trainings with `deterministic:
true` write the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hubkit_llava_next import LLaVANext, LLaVAOneVision
from hubkit_peft import PeftTrainer, setup
from hubkit_peft.options import Options
from hubkit_qwen_vl import Qwen3VL, QwenVL
from testing import tiny_processor as tiny

from hubkit.sdk import SilentRun, TrainInput
from hubkit.weights.model import Model

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
KINDS: dict[str, Any] = {
    **{"QWEN": QwenVL, "QWEN3": Qwen3VL, "QWEN2": QwenVL},
    **{"NEXT": LLaVANext, "ONEVISION": LLaVAOneVision},
}
WAYS: dict[str, dict[str, Any]] = {
    "float32": {"precision": "float32", "compile": False, "packing": "never"},
    "float32 compiled": {"precision": "float32", "packing": "always"},
    "bfloat16 packed": {"precision": "bfloat16", "packing": "always"},
    "bfloat16, LoRAs on the ViT": {"precision": "bfloat16", "lora": ("llm", "vit")},
}
LIMITS = {"float32": 1e-3, "bfloat16": 0.15}


def job(folder: Path, kind: str) -> TrainInput:
    base = tiny.make(getattr(tiny, kind), folder / kind / "base")
    images = tiny.pictures(folder / kind / "images")
    model = Model.of(base, KINDS[kind]())
    return tiny.jobs(base, folder / kind / "jobs", tiny.records(), images, model)[0]


def gradients(made: TrainInput, **way: Any) -> dict[str, Any]:
    options = {**made.options, "device": DEVICE, "rank": 8, **way}
    training = setup.prepare(made, Options(**options), SilentRun())[0]
    expected = "Plain" if way.get("implementation") == "plain" else "Arranged"
    assert type(training.program).__name__ == expected
    dice = torch.Generator().manual_seed(3)
    for name, parameter in training.model.named_parameters():
        if "lora_B" in name:
            parameter.data.copy_(torch.randn(parameter.shape, generator=dice) * 0.05)
    examples = [training.examples[number] for number in range(4)]
    batch = training.program.collate(examples, range(4), 0, training.options.packing)
    training.program.loss(batch.to(DEVICE), learning=True).backward()
    named = training.model.named_parameters()
    return {name: p.grad.float().cpu() for name, p in named if p.grad is not None}


def apart(made: TrainInput) -> dict[str, float]:
    found, modules = {}, {"implementation": "plain", "precision": "float32"}
    expected = {lora: gradients(made, **modules, lora=lora) for lora in (("llm",), ("llm", "vit"))}
    for name, way in WAYS.items():
        own, plain = gradients(made, **way), expected[way.get("lora", ("llm",))]
        assert own.keys() == plain.keys()
        far = [float((own[key] - plain[key]).norm()) for key in own]
        size = [float(plain[key].norm()) for key in own]
        least = 1e-3 * max(size)
        found[name] = max(f / max(s, least) for f, s in zip(far, size, strict=True))
        assert found[name] < LIMITS[name.split()[0].rstrip(",")], found
    return found


def repeated(made: TrainInput) -> str:
    """The digest of an adapter that is trained twice."""
    digests = []
    for turn in ("one", "two"):
        places = {part: made.output.with_name(f"{turn}-{part}") for part in ("output", "scratch")}
        for place in places.values():
            place.mkdir()
        options = {**made.options, "device": DEVICE, "steps": 6, "deterministic": True}
        done = PeftTrainer().train(replace(made, options=options, **places), SilentRun())
        weights = places["output"] / done.adapter / "adapter_model.safetensors"
        digests.append(hashlib.sha256(weights.read_bytes()).hexdigest()[:12])
    assert len(set(digests)) == 1, digests
    return digests[0]


def main(folder: Path, kinds: list[str]) -> None:
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False  # the modules' convolutions: 1e-3 apart else
    for kind in kinds:
        started, made = time.monotonic(), job(folder, kind)
        shown = {name: f"{distance:.1e}" for name, distance in apart(made).items()}
        print(kind, json.dumps(shown), "repeated", repeated(made), end=" ")
        print(f"[{time.monotonic() - started:.0f} s]", flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2 or set(sys.argv[2:]) - set(KINDS):
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:] or list(KINDS))
