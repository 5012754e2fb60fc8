"""MiniGPT-4: its parts put together, its projection merged, a step of training, and what it is
asked with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hubkit_blip2 import MiniGPT4
from hubkit_blip2.conformance import CONFIG, FLAN_T5
from testing.live_adapter import loaded
from testing.processor_checks import check_rows_apart, check_trained_and_asked
from testing.tiny_blip import BLIP_T5, run_card
from testing.tiny_processor import jobs, make, make_tokenizer, pictures, records

import hubkit
from hubkit.errors import DataError, UsageError, WeightsError
from hubkit.sdk import Record, Turn
from hubkit.weights.check import check
from hubkit.weights.merge import merge
from hubkit.weights.model import open_model

LLAMA = {
    **{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "max_position_embeddings": 1024, "bos_token_id": 1},
    **{"eos_token_id": 2, "tie_word_embeddings": False},
}


def _vicuna(out: Path) -> Path:
    """A Llama with a tokenizer, as a language model is published."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    special = ("<unk>", "<s>", "</s>", "##", "###")
    out.mkdir(parents=True)
    ids = make_tokenizer(replace(BLIP_T5, special=special[:3], around=""), out / "tokenizer.json")
    data = json.loads((out / "tokenizer.json").read_text("utf-8"))
    for text in special[3:]:
        data["model"]["vocab"][text] = len(data["model"]["vocab"])
    data["model"]["merges"] += [["#", "#"], ["##", "#"]]
    (out / "tokenizer.json").write_text(json.dumps(data), "utf-8")
    settings = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
    settings["chat_template"] = "another"
    (out / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    torch.manual_seed(4)
    LlamaForCausalLM(LlamaConfig(**LLAMA, vocab_size=len(ids) + 2)).save_pretrained(out)
    return out


def _checkpoint(path: Path, columns: int = 32, **more: Any) -> Path:
    """As MiniGPT-4's trainer writes it."""
    import torch

    torch.manual_seed(5)
    state = {"llama_proj.weight": torch.randn(64, columns), "llama_proj.bias": torch.randn(64)}
    torch.save({"model": {**state, **more}, "epoch": 3, "config": {"run": {}}}, path)
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("minigpt4")
    blip = make(BLIP_T5, place / "blip2")
    hubkit.assemble(_vicuna(place / "vicuna"), blip, place / "base", family="minigpt4")
    return place / "base"


def test_the_parts_are_those_that_were_given(base: Path) -> None:
    from safetensors.torch import load_file

    model = open_model(base)
    assert isinstance(model.family, MiniGPT4) and check(base, model.family) == ()
    weights = load_file(base / "model.safetensors")
    for part, prefix in (("vicuna", "language_model."), ("blip2", "")):
        for name, tensor in load_file(base.with_name(part) / "model.safetensors").items():
            if prefix or name.startswith(("vision_model.", "qformer.", "query_tokens")):
                assert weights[f"{prefix}{name}"][: len(tensor)].equal(tensor), name
    loaded(base)


def test_the_projection_is_merged(base: Path, tmp_path: Path) -> None:
    """The logits are those of the assembled model with the projection in its place."""
    import torch

    file = _checkpoint(tmp_path / "pretrained_minigpt4.pth")
    report = merge(open_model(base), file, tmp_path / "merged")
    assert (report.replaced, report.merged, report.adapter_keys) == (2, 0, 2)
    assert check(tmp_path / "merged", MiniGPT4()) == ()
    live, merged = loaded(base), loaded(tmp_path / "merged")
    image = live.config.image_token_id
    given = {
        "input_ids": torch.tensor([[1, 5, *[image] * 4, 9, 10]]),
        "pixel_values": torch.randn(1, 3, 28, 28),
    }
    with torch.no_grad():
        before = live(**given).logits
        state = torch.load(file)["model"]
        live.language_projection.weight.copy_(state["llama_proj.weight"])
        live.language_projection.bias.copy_(state["llama_proj.bias"])
        wanted, got = live(**given).logits, merged(**given).logits
    assert (wanted - before).abs().max() > 1e-3 and (wanted - got).abs().max() < 1e-5


def test_training_and_asking_give_the_model_the_same(base: Path, tmp_path: Path) -> None:
    """Several pictures stand in their places."""
    own = [one for one in records() if one.images]
    both = jobs(base, tmp_path / "jobs", own, pictures(tmp_path / "images"))
    trained = check_trained_and_asked(*both, linears=14)
    picture = f"<Img>{'<image>' * 4}</Img>"
    assert trained.prompt.endswith(f"###Human: {picture} Which colours?###Assistant:")
    assert trained.prompt.startswith("<s>Give the following image: <Img>ImageContent</Img>.")
    image = json.loads((base / "config.json").read_text("utf-8"))["image_token_index"]
    assert trained.prompt_ids.count(image) == 1
    check_rows_apart(both[0], own)
    run_card(both[0], own[0], tmp_path)


def test_a_talk_without_a_picture_is_refused(base: Path, tmp_path: Path) -> None:
    from hubkit_peft.checked import open_encoder

    none = [Record("none", (), (Turn("Describe it.", "nothing"),))]
    training, _ = jobs(base, tmp_path / "jobs", none, tmp_path)
    with pytest.raises(DataError, match="none, turn 1: 0 pictures here"):
        open_encoder(training).size(none[0])


@pytest.mark.parametrize(
    ("columns", "more", "message"),
    [
        (
            5632,
            {},
            r"takes 5,632 numbers: this MiniGPT-4 \(Llama 2\) or MiniGPT-v2 has no Q-Former",
        ),
        (32, {"llama_model.base_model.lora": 1}, "trains more than the projection"),
        (32, {"llama_proj.bias": 1}, r"lacks llama_proj\.bias, or its values are no tensors"),
        (48, {}, r"llama_proj\.weight.*\(64, 48\)"),
    ],
)
def test_other_checkpoints_are_refused_by_name(
    columns: int, more: Mapping[str, Any], message: str, base: Path, tmp_path: Path
) -> None:
    file = _checkpoint(tmp_path / "other.pth", columns, **more)
    with pytest.raises(WeightsError, match=message):
        merge(open_model(base), file, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_parts_that_do_not_belong_together() -> None:
    llama = {**LLAMA, "architectures": ["LlamaForCausalLM"], "vocab_size": 32000}
    with pytest.raises(UsageError, match="MiniGPT-4 is made with LlamaForCausalLM") as caught:
        MiniGPT4().assemble({"architectures": ["OPTForCausalLM"]}, FLAN_T5, 32000)
    assert "Vicuna v0" in caught.value.remedy
    for other in (CONFIG, FLAN_T5):
        with pytest.raises(UsageError, match="Q-Former of BLIP-2 with Flan-T5 XXL") as caught:
            MiniGPT4().assemble(llama, other, 32000)
    assert "blip2-flan-t5-xxl" in caught.value.remedy
    xxl = {**FLAN_T5, "text_config": {**FLAN_T5["text_config"], "d_model": 4096}}
    made = MiniGPT4().assemble(llama, xxl, 32000)
    assert made.config["num_query_tokens"] == 32 and set(made.fresh) == {
        *("language_projection.weight", "language_projection.bias")
    }
