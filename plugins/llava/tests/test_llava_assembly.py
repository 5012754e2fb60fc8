"""Bases put together from parts that were published apart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hubkit_llava import LLaVA
from safetensors.torch import load_file, save_file

import hubkit
from hubkit.reporting import SilentReporter
from hubkit.sdk import UsageError, WeightsError
from hubkit.sdk.assembly import Assembly
from hubkit.weights.assemble import assemble


def test_the_parts_compute_what_they_did(
    base: Path, llm: Path, clip: Path, load: Callable[[Path], Any]
) -> None:
    import torch
    from transformers import CLIPVisionModel, LlamaForCausalLM

    model = load(base)
    ids, pixels = (
        torch.tensor([[1, 40, 50, 60]]),
        torch.randn(1, 3, 28, 28, generator=torch.Generator().manual_seed(3)),
    )
    with torch.no_grad():
        own = LlamaForCausalLM.from_pretrained(llm, dtype=torch.float32)(ids).logits
        seen = CLIPVisionModel.from_pretrained(clip).eval()(pixels).last_hidden_state
        assert torch.equal(model(input_ids=ids).logits[..., :415], own)
        assert torch.equal(model.model.vision_tower(pixels).last_hidden_state, seen)
    config = json.loads((base / "config.json").read_text("utf-8"))
    assert config["image_token_index"] == 415 and config["text_config"]["vocab_size"] == 416
    assert hubkit.check(base) == ()


def test_the_image_tokens_rows_are_those_of_unk(base: Path, llm: Path) -> None:
    weights, own = load_file(base / "model.safetensors"), load_file(llm / "model.safetensors")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        table = weights[f"language_model.{name}"]
        assert table[:415].equal(own[name]) and table[415].equal(own[name][0])


def test_an_internlm2_becomes_the_same_llama(
    base: Path, internlm2: Path, clip: Path, tmp_path: Path
) -> None:
    hubkit.assemble(internlm2, clip, tmp_path / "base", family="llava")
    assert (tmp_path / "base" / "model.safetensors").read_bytes() == (
        base / "model.safetensors"
    ).read_bytes()
    text = json.loads((tmp_path / "base" / "config.json").read_text("utf-8"))["text_config"]
    assert text["model_type"] == "llama" and text["rope_scaling"] == {
        "type": "dynamic",
        "rope_type": "dynamic",
        "factor": 2.0,
    }
    assert "auto_map" not in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bias": True}, "bias is true: this InternLM2 cannot be written as a Llama"),
        ({"rope_scaling": {"type": "yarn", "factor": 2}}, "rope_scaling.type is 'yarn'"),
        ({"architectures": ["GPT2LMHeadModel"]}, r"architectures is \['GPT2LMHeadModel'\]"),
    ],
)
def test_what_cannot_be_a_llama_is_refused(
    internlm2: Path, clip: Path, tmp_path: Path, change: Any, message: str
) -> None:
    other = shutil.copytree(internlm2, tmp_path / "other")
    config = json.loads((other / "config.json").read_text("utf-8"))
    (other / "config.json").write_text(json.dumps({**config, **change}), "utf-8")
    with pytest.raises(UsageError, match=message):
        hubkit.assemble(other, clip, tmp_path / "out", family="llava")
    assert not (tmp_path / "out").exists()


def test_the_tower_takes_the_language_models_dtype_and_may_be_a_file_of_torch(
    llm: Path, clip: Path, tmp_path: Path
) -> None:
    import torch

    half = shutil.copytree(llm, tmp_path / "half")
    numbers = load_file(llm / "model.safetensors")
    save_file({name: one.bfloat16() for name, one in numbers.items()}, half / "model.safetensors")
    pickled = shutil.copytree(clip, tmp_path / "pickled")
    tower = load_file(pickled / "model.safetensors")
    (pickled / "model.safetensors").unlink()
    torch.save(tower, pickled / "pytorch_model.bin")
    hubkit.assemble(half, pickled, tmp_path / "out", family="llava")
    made = load_file(tmp_path / "out" / "model.safetensors")
    assert {one.dtype for one in made.values()} == {torch.bfloat16}
    name = "vision_model.encoder.layers.1.mlp.fc1.weight"
    assert made[f"vision_tower.{name}"].equal(tower[name].bfloat16())


def test_a_missing_tensor_is_named(llm: Path, clip: Path, tmp_path: Path) -> None:
    short = shutil.copytree(llm, tmp_path / "short")
    numbers = load_file(llm / "model.safetensors")
    del numbers["model.norm.weight"]
    save_file(numbers, short / "model.safetensors")
    with pytest.raises(WeightsError, match=r"the llm folder has no tensor 'model\.norm\.weight'"):
        hubkit.assemble(short, clip, tmp_path / "out", family="llava")


def test_a_family_without_parts_says_so(llm: Path, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="family internvl cannot be assembled"):
        hubkit.assemble(llm, clip, tmp_path / "out", family="internvl")


@pytest.mark.parametrize(
    ("change", "message", "remedy"),
    [
        (lambda tokenizer: None, "there is no tokenizer", "give a complete folder"),
        (
            lambda tokenizer: {**tokenizer, "model": {"type": "Unigram", "vocab": [["a", 0.0]]}},
            r"tokenizer\.json has no vocabulary by text",
            "give a BPE tokenizer",
        ),
    ],
)
def test_a_tokenizer_that_cannot_take_one_token_more(
    llm: Path, clip: Path, tmp_path: Path, change: Any, message: str, remedy: str
) -> None:
    other = shutil.copytree(llm, tmp_path / "other")
    made = change(json.loads((other / "tokenizer.json").read_text("utf-8")))
    (other / "tokenizer.json").unlink()
    if made:
        (other / "tokenizer.json").write_text(json.dumps(made), "utf-8")
    with pytest.raises(UsageError, match=message) as caught:
        hubkit.assemble(other, clip, tmp_path / "out", family="llava")
    assert remedy in caught.value.remedy and not (tmp_path / "out").exists()


def test_a_tower_that_is_no_clip(llm: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "siglip"}')
    with pytest.raises(UsageError, match="model_type is 'siglip', not clip") as caught:
        hubkit.assemble(llm, tmp_path, tmp_path / "out", family="llava")
    assert "give the folder of a CLIP" in caught.value.remedy


class Bare(LLaVA):
    """A family that has nothing between its parts."""

    def assemble(self, *given: Any) -> Assembly:
        return replace(super().assemble(*given), fresh={})


def test_a_family_with_nothing_to_start(llm: Path, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing between its parts to start"):
        assemble(llm, clip, tmp_path / "out", Bare(), SilentReporter())
    assert not (tmp_path / "out").exists()


def test_the_template_takes_texts_and_lists(base: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(base)
    parts = [{"type": "image"}, {"type": "text", "text": "What?"}]
    said = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        for content in (parts, "<image>\nWhat?")
    ]
    assert (
        said[0]
        == said[1]
        == "<s><|im_start|>user\n<image>\nWhat?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.convert_tokens_to_ids("<image>") == 415


def test_the_command_makes_the_same_folder(
    base: Path, llm: Path, clip: Path, tmp_path: Path
) -> None:
    from click.testing import CliRunner

    from hubkit.cli import cli

    done = CliRunner().invoke(
        cli, ["assemble", str(llm), str(clip), str(tmp_path / "out"), "--family", "llava"]
    )
    assert done.exit_code == 0, done.output
    assert "80 tensors in 8 files" in done.output
    made = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert made == {path.name: path.read_bytes() for path in base.iterdir()}


def test_what_transformers_5_makes_becomes_the_published_layout(
    base: Path, tmp_path: Path, load: Callable[[Path], Any]
) -> None:
    """A model that was not loaded from the published names is saved with the tower's names less
    `vision_model`."""
    from transformers import LlavaForConditionalGeneration

    loaded = load(base)
    fresh = LlavaForConditionalGeneration(loaded.config)
    fresh.load_state_dict(loaded.state_dict())
    fresh.save_pretrained(tmp_path / "saved")
    assert "vision_tower.pre_layrnorm.weight" in load_file(tmp_path / "saved" / "model.safetensors")
    hubkit.convert(tmp_path / "saved", tmp_path / "out", to="official", like=base)
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (
        base / "model.safetensors"
    ).read_bytes()
