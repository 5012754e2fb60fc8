"""The whole way on a tiny real LLaVA: a language model that captions, a projector, then a LoRA that answers."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import hubkit
from hubkit.models import open_model
from hubkit.sdk import GenerateInput, Record, SilentRun, TrainInput, Turn, read_answers, write_jsonl

pytestmark = pytest.mark.integration

COLOURS = {"red": (220, 30, 30), "green": (20, 170, 40), "blue": (30, 40, 220), "white": (240, 240, 240)}
ASK, DESCRIBE = "Which colour?", "Describe it."
OPTIONS = {"batch_size": 8, "threads": 1, "learning_rate": 3e-3, "rank": 8, "alpha": 16, "checkpoint_every": 1000}


def test_captions_before_and_answers_after(llm: Path, clip: Path, tmp_path: Path, load: Callable[[Path], Any]) -> None:
    speaker = _speaking(llm, tmp_path / "llm")
    hubkit.assemble(speaker, clip, tmp_path / "base", family="llava")
    pictures = _pictures(tmp_path / "pictures")

    captions = [Record(name, (name,), (Turn(f"<image>\n{DESCRIBE}", _caption(c)),)) for name, c in pictures.items()]
    first = _train(tmp_path / "pretrain", tmp_path / "base", captions, tmp_path / "pictures", lora=(), full=("mlp1",), steps=250)
    report = hubkit.merge(tmp_path / "base", first, tmp_path / "pretrained")
    assert (report.merged, report.replaced) == (0, 4)

    answers = [Record(name, (name,), (Turn(f"<image>\n{ASK}", colour),)) for name, colour in pictures.items()]
    chosen = {"lora": ("llm", "vit"), "full": ("mlp1",), "steps": 120}
    second = _train(tmp_path / "finetune", tmp_path / "pretrained", answers, tmp_path / "pictures", **chosen)
    hubkit.merge(tmp_path / "pretrained", second, tmp_path / "LLaVA-Colours")
    assert hubkit.check(tmp_path / "LLaVA-Colours") == ()

    fresh = _pictures(tmp_path / "fresh", seed=9)
    before = _chat(tmp_path / "pretrained", fresh, tmp_path / "fresh", tmp_path / "before")
    after = _chat(tmp_path / "LLaVA-Colours", fresh, tmp_path / "fresh", tmp_path / "after")
    assert _share(before, {name: _caption(colour) for name, colour in fresh.items()}) >= 0.9
    assert _share(before, fresh) == 0
    assert _share(after, fresh) >= 0.9
    _same_logits(tmp_path / "finetune" / "native", second, load(tmp_path / "LLaVA-Colours"))


def _caption(colour: str) -> str:
    return f"a picture in {colour}"


def _speaking(llm: Path, out: Path) -> Path:
    """The language model after learning to make a caption of a word in the prompt, whatever it is asked."""
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

    torch.set_num_threads(1)
    torch.manual_seed(1)
    shutil.copytree(llm, out)
    tokenizer, model = PreTrainedTokenizerFast.from_pretrained(llm), LlamaForCausalLM.from_pretrained(llm, dtype=torch.float32)
    optimizer, dice = torch.optim.AdamW(model.parameters(), 3e-3), random.Random(1)
    for _ in range(400):
        rows = [_said(tokenizer, dice) for _ in range(16)]
        width = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([ids + [2] * (width - len(ids)) for ids, _ in rows])
        labels = torch.tensor([[-100] * start + row[start:] + [-100] * (width - len(row)) for row, start in rows])
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(out)
    for name in ("tokenizer_config.json", "tokenizer.json", "generation_config.json"):
        shutil.copy2(llm / name, out / name)
    return out


def _said(tokenizer: Any, dice: random.Random) -> tuple[list[int], int]:
    """A conversation's ids, and where the answer begins. The word stands where a picture will."""
    colour = dice.choice(sorted(COLOURS))
    content = f" {colour}" * dice.randint(8, 20) + "\n" + dice.choice((ASK, DESCRIBE))
    asked = tokenizer.apply_chat_template([{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True)
    start = tokenizer(asked, add_special_tokens=False).input_ids
    return start + tokenizer(_caption(colour) + "<|im_end|>", add_special_tokens=False).input_ids, len(start)


def _pictures(folder: Path, seed: int = 3) -> dict[str, str]:
    """Name and colour of 32 noisy pictures of one colour each."""
    import numpy
    from PIL import Image

    folder.mkdir()
    noise, found = numpy.random.default_rng(seed), {}
    for number in range(32):
        colour = sorted(COLOURS)[number % len(COLOURS)]
        values = numpy.array(COLOURS[colour]) + noise.normal(0, 12, (36, 36, 3))
        Image.fromarray(values.clip(0, 255).astype("uint8")).save(folder / f"{number}.png")
        found[f"{number}.png"] = colour
    return found


def _train(place: Path, base: Path, records: list[Record], images: Path, **options: Any) -> Path:
    from hubkit_peft import PeftTrainer

    hubkit.convert(base, place / "native", to="hf")
    for name in ("out", "scratch"):
        (place / name).mkdir()
    write_jsonl(place / "records.jsonl", records)
    model = open_model(base)
    groups = model.family.native(model.config).groups
    job = TrainInput(
        base, place / "native", groups, model.vision, place / "records.jsonl", images, place / "out", place / "scratch", 7,
        {**OPTIONS, **options},
    )  # fmt: skip
    return place / "out" / PeftTrainer().train(job, SilentRun()).adapter


def _chat(folder: Path, pictures: Mapping[str, str], images: Path, place: Path) -> dict[str, str]:
    from hubkit_transformers import TransformersEngine

    hubkit.convert(folder, place / "native", to="hf")
    records = [Record(name, (name,), (Turn(f"<image>\n{ASK}", ""),)) for name in pictures]
    write_jsonl(place / "records.jsonl", records)
    (place / "out").mkdir()
    job = GenerateInput(
        folder, place / "native", open_model(folder).vision, place / "records.jsonl", images, place / "out", 16, {"threads": 1}
    )
    done = TransformersEngine().generate(job, SilentRun())
    return {answer.id: answer.texts[0] for answer in read_answers(place / "out" / done.answers)}


def _share(said: Mapping[str, str], wanted: Mapping[str, str]) -> float:
    return sum(said[name] == text for name, text in wanted.items()) / len(wanted)


def _same_logits(native: Path, adapter: Path, merged: Any) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    live = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(native, dtype=torch.float32), adapter).eval()
    image = json.loads((native / "config.json").read_text("utf-8"))["image_token_index"]
    pixels = torch.randn(1, 3, 28, 28, generator=torch.Generator().manual_seed(2))
    inputs = {"input_ids": torch.tensor([[1, *[image] * 16, 40, 50]]), "pixel_values": pixels}
    with torch.no_grad():
        wanted, got = live(**inputs).logits, merged(**inputs).logits
        with live.disable_adapter():
            assert (live(**inputs).logits - wanted).abs().max() > 1e-2
    assert (wanted - got).abs().max() < 1e-5
