"""What must hold of every family whose pictures the model's own processor arranges."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hubkit.rehearsal import serve
from hubkit.sdk import Record, Turn
from testing.tiny_processor import Kind, answers, make, records

RELEASE = """\
name: {name}
base: {{path: base, name: hubkit/{name}-Base, license: apache-2.0}}
data: {{path: data/d.json, images: data/images, name: colours, license: cc-by-4.0, holdout: 40}}
train:
  options: {{rank: 8, alpha: 16, steps: 100, batch_size: 8, learning_rate: 3.0e-3, threads: 1}}
smoke: {{images: 1, prompts: ["Which colours?"]}}
evaluate: {{metrics: [exact_match], require: {{improvement_ci: "> 0"}}}}
publish:
  - to: huggingface:rehearsal/{name}
    options: {{endpoint: "{url}", token_env: HUBKIT_REHEARSAL_TOKEN}}
verify: {{deep: true}}
"""


def check_trained_and_asked(training: Any, questions: Any, linears: int, family: Any = None) -> Any:
    """One step of training and the answers to the same records: the model is given the same bytes;
    the adapter merges into a sound folder. The trainer's output. `family` is that of the base,
    where it is known already."""
    from hubkit_peft import PeftTrainer
    from hubkit_transformers import TransformersEngine

    from hubkit.sdk.testing import check_processing
    from hubkit.weights.check import check
    from hubkit.weights.merge import merge
    from hubkit.weights.model import Model, open_model

    trained, asked = check_processing(PeftTrainer(), training, TransformersEngine(), questions)
    assert asked.template == "the processor's chat_template"
    _check_batches(questions)
    merged = training.output / "merged"
    base = Model.of(training.base, family) if family else open_model(training.base)
    assert merge(base, training.output / trained.adapter, merged).merged == linears
    assert check(merged, base.family) == ()
    return trained


def _check_batches(questions: Any) -> None:
    """Answers are those of one by one, though nothing is asked again."""
    from hubkit_transformers import TransformersEngine

    from hubkit.sdk import SilentRun

    found = []
    for size in (1, 4):
        output = questions.output.with_name(f"by{size}")
        output.mkdir()
        options = {**questions.options, "batch_size": size, "exact": False}
        job = replace(questions, output=output, options=options)
        made = TransformersEngine().generate(job, SilentRun())
        found.append((output / made.answers).read_bytes())
    assert found[0] == found[1]


def check_rows_apart(training: Any, own: Sequence[Record] | None = None) -> None:
    """The logits of each conversation are those that it has alone, whatever is beside it. The
    records are `own`, or the usual ones."""
    import torch
    from hubkit_peft.checked import open_encoder
    from transformers import AutoModelForImageTextToText

    from hubkit.sdk.processing import batched

    encoder = open_encoder(training)
    rows = [encoder.example(record).inputs for record in own or records()]
    model = AutoModelForImageTextToText.from_pretrained(training.native, dtype=torch.float32).eval()
    with torch.no_grad():
        for side in ("left", "right"):
            together = model(**batched(rows, 0, side)).logits
            for logits, row in zip(together, rows, strict=True):
                alone = model(**batched([row], 0, side)).logits[0]
                size = len(row.ids)
                own = logits[-size:] if side == "left" else logits[:size]
                assert (own - alone).abs().max() < 1e-5


def check_release(kind: Kind, place: Path, name: str, steps: int) -> None:
    """check_released, with a base that describes pictures after `steps`."""
    make(kind, place / "base", steps)
    check_released(place, name)


def check_released(place: Path, name: str) -> None:
    """A whole `hubkit release`, to a hub on this machine: the base in `place`, which describes
    pictures, learns to answer, and the fresh download is asked again."""
    token = "a-token-of-this-test"
    with serve(place / "hub", token=token) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUBKIT_REHEARSAL_TOKEN", token)
        result = _released(place, name, hub.url)
    (measure,) = result["evaluation"]["measures"]
    assert measure["base_right"] == 0 and measure["change"]["low"] > 0.3, measure
    assert {stage["stage"] for stage in result["stages"]} >= {"publish", "verify"}
    card = (Path(result["folder"]) / "README.md").read_text("utf-8")
    assert "asked with exactly the prompt of its training" in card
    _check_live_logits(place, Path(result["folder"]))


def _released(place: Path, name: str, url: str) -> dict[str, Any]:
    rows = answers(place / "data" / "images", 160, 3)
    (place / "data" / "d.json").write_text(json.dumps(rows), "utf-8")
    (place / "release.yaml").write_text(RELEASE.format(name=name, url=url), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "hubkit", "release", str(place / "release.yaml"), "--json"],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _check_live_logits(place: Path, package: Path) -> None:
    """The merged folder, loaded by transformers, has the logits of PEFT's live adapter on the
    base."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    import hubkit

    (run,) = (place / ".hubkit").glob("*/train")
    for folder, out in ((place / "base", "base"), (package, "merged")):
        hubkit.convert(folder, place / "native" / out, to="hf")
    given = _given(place)
    base, merged = (
        AutoModelForImageTextToText.from_pretrained(place / "native" / one, dtype=torch.float32)
        for one in ("base", "merged")
    )
    with torch.no_grad():
        plain = base.eval()(**given).logits
        live = PeftModel.from_pretrained(base, run / "adapter").eval()(**given).logits
        got = merged.eval()(**given).logits
    assert (live - plain).abs().max() > 1e-3
    assert (live - got).abs().max() < 1e-5


def _given(place: Path) -> dict[str, Any]:
    """A record of the release's data, as the trainer gives it to the model."""
    from hubkit_peft import plain, processed
    from hubkit_peft.checked import open_encoder

    from hubkit.weights.model import open_model

    model, images = open_model(place / "base"), place / "data" / "images"
    native = place / "native" / "base"
    where = {"base": model.folder, "native": native, "vision": model.vision, "images": images}
    encoder = open_encoder(SimpleNamespace(**where))
    record = Record("0", ("0.png",), (Turn("<image>\nWhich?", "red"),))
    given: dict[str, Any]
    if model.vision.fit == "processor":
        given = processed.padded([encoder.example(record)], 0)
    else:
        given = plain.padded([encoder.example(record)], 0, model.vision)
    del given["labels"]
    return given
