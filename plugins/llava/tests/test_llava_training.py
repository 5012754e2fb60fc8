"""The whole way on a tiny real LLaVA: a language model that captions, a projector, then a LoRA that
answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from testing import tiny_llava as tiny

import hubkit
from hubkit.sdk import GenerateInput, Record, SilentRun, Turn, read_answers, write_jsonl
from hubkit.weights.model import open_model

pytestmark = pytest.mark.integration


def test_captions_before_and_answers_after(
    llm: Path, clip: Path, tmp_path: Path, load: Callable[[Path], Any]
) -> None:
    hubkit.assemble(
        tiny.teach_captions(llm, tmp_path / "llm"), clip, tmp_path / "base", family="llava"
    )
    shown, images = tiny.pictures(tmp_path / "pictures"), tmp_path / "pictures"

    first = tiny.pretrain(tmp_path / "pretrain", tmp_path / "base", shown, images)
    report = hubkit.merge(tmp_path / "base", first, tmp_path / "pretrained")
    assert (report.merged, report.replaced) == (0, 4)
    second = tiny.finetune(tmp_path / "finetune", tmp_path / "pretrained", shown, images)
    hubkit.merge(tmp_path / "pretrained", second, tmp_path / "LLaVA-Colours")
    assert hubkit.check(tmp_path / "LLaVA-Colours") == ()

    fresh = tiny.pictures(tmp_path / "fresh", seed=9)
    before = _chat(tmp_path / "pretrained", fresh, tmp_path / "fresh", tmp_path / "before")
    after = _chat(tmp_path / "LLaVA-Colours", fresh, tmp_path / "fresh", tmp_path / "after")
    assert _share(before, {name: tiny.caption(colour) for name, colour in fresh.items()}) >= 0.9
    assert _share(before, fresh) == 0
    assert _share(after, fresh) >= 0.9
    _same_logits(tmp_path / "finetune" / "native", second, load(tmp_path / "LLaVA-Colours"))


def _chat(folder: Path, pictures: Mapping[str, str], images: Path, place: Path) -> dict[str, str]:
    from hubkit_transformers import TransformersEngine

    hubkit.convert(folder, place / "native", to="hf")
    records = [Record(name, (name,), (Turn(f"<image>\n{tiny.ASK}", ""),)) for name in pictures]
    write_jsonl(place / "records.jsonl", records)
    (place / "out").mkdir()
    job = GenerateInput(
        folder,
        place / "native",
        open_model(folder).vision,
        place / "records.jsonl",
        images,
        place / "out",
        16,
        {"threads": 1},
    )
    done = TransformersEngine().generate(job, SilentRun())
    return {answer.id: answer.texts[0] for answer in read_answers(place / "out" / done.answers)}


def _share(said: Mapping[str, str], wanted: Mapping[str, str]) -> float:
    return sum(said[name] == text for name, text in wanted.items()) / len(wanted)


def _same_logits(native: Path, adapter: Path, merged: Any) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    live = PeftModel.from_pretrained(
        AutoModelForImageTextToText.from_pretrained(native, dtype=torch.float32), adapter
    ).eval()
    image = json.loads((native / "config.json").read_text("utf-8"))["image_token_index"]
    pixels = torch.randn(1, 3, 28, 28, generator=torch.Generator().manual_seed(2))
    inputs = {"input_ids": torch.tensor([[1, *[image] * 16, 40, 50]]), "pixel_values": pixels}
    with torch.no_grad():
        wanted, got = live(**inputs).logits, merged(**inputs).logits
        with live.disable_adapter():
            assert (live(**inputs).logits - wanted).abs().max() > 1e-2
    assert (wanted - got).abs().max() < 1e-5
