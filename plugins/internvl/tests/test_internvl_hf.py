"""transformers' own layout of InternVL as a base of its own, and adapters of either layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hubkit_internvl import InternVL, InternVLHF
from testing.live_adapter import check_shapes

import hubkit
from hubkit.errors import UsageError
from hubkit.weights.merge import merge
from hubkit.weights.model import Model, open_model
from hubkit.weights.relayout import merge_as

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
TOKENS = {"<IMG_CONTEXT>": 57}


@pytest.mark.parametrize("vit_6b", [False, True], ids=["300M", "6B"])
@pytest.mark.parametrize("llm", ["InternLM2", "Qwen2", "Qwen3", "Llama", "Phi3"])
def test_names_and_shapes_are_those_that_transformers_saves(
    tiny: Callable[..., dict[str, Any]], llm: str, vit_6b: bool
) -> None:
    config = InternVL().native(tiny(f"{llm}ForCausalLM", vit_6b=vit_6b), TOKENS).config
    check_shapes(InternVLHF(), config)


def test_a_class_that_ties_by_default_is_read_so(tiny: Callable[..., dict[str, Any]]) -> None:
    config = dict(InternVL().native(tiny("Qwen2ForCausalLM"), TOKENS).config)
    config.pop("tie_word_embeddings")
    assert "language_model.lm_head.weight" not in InternVLHF().layout(config)


@pytest.fixture(scope="module")
def hf(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hf") / "InternVL-HF"
    hubkit.convert(base, folder, to="hf")
    return folder


def test_it_is_a_base_that_is_sound(base: Path, hf: Path) -> None:
    found, official = open_model(hf), open_model(base)
    assert found.family.name == "internvl_hf" and hubkit.check(hf) == ()
    assert found.vision == official.vision
    parameters = [model.family.describe(model.config).parameters for model in (found, official)]
    assert parameters[0] == parameters[1]


def _adapter(folder: Path, module: str, out: int, width: int, whole: str, size: int) -> Path:
    from safetensors.torch import save_file

    draw, at = torch.Generator().manual_seed(3), "base_model.model."
    folder.mkdir()
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 6, "modules_to_save": [whole]}
    (folder / "adapter_config.json").write_text(json.dumps(settings), "utf-8")
    tensors = {
        f"{at}{module}.lora_A.weight": torch.randn(4, width, generator=draw) * 0.1,
        f"{at}{module}.lora_B.weight": torch.randn(out, 4, generator=draw) * 0.1,
        f"{at}{whole}.weight": torch.randn(size, generator=draw),
        f"{at}{whole}.bias": torch.randn(size, generator=draw),
    }
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    return folder


def _weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {k: v for one in folder.glob("*.safetensors") for k, v in load_file(one).items()}


@pytest.mark.parametrize("layout", ["official", "hf"])
def test_adapters_of_either_layout_merge_into_either(
    base: Path, hf: Path, tmp_path: Path, layout: str
) -> None:
    shapes = _weights(base)
    at, wide = "language_model.model.layers.0.attention.wqkv", shapes["mlp1.0.weight"].numel()
    rows, width = shapes[f"{at}.weight"].shape
    place = tmp_path / "adapter"
    if layout == "official":
        adapter = _adapter(place, at, rows, width, "mlp1.0", wide)
    else:
        projector = "model.multi_modal_projector.layer_norm"
        query = "model.language_model.layers.0.self_attn.q_proj"
        adapter = _adapter(place, query, width, width, projector, wide)
    official, own = open_model(base), open_model(hf)
    merge(official, adapter, tmp_path / "a")
    merge(own, adapter, tmp_path / "b")
    merge_as("hf", official, adapter, tmp_path / "c")
    hubkit.convert(tmp_path / "a", tmp_path / "d", to="hf")
    wanted, into_hf, as_hf = (_weights(tmp_path / one) for one in "dbc")
    assert (
        set(into_hf) == set(wanted) == {one.name for one in own.family.native(own.config).tensors}
    )
    assert set(as_hf) == set(own.family.layout(own.config))
    published = {one.name: one.source for one in own.family.native(own.config).tensors}
    for name, tensor in wanted.items():
        assert (tensor - into_hf[name]).abs().max() < 1e-6, name
        assert tensor.equal(as_hf[published[name]]), name
    for folder in "abc":
        assert hubkit.check(tmp_path / folder) == ()
    changed = [name for name, tensor in wanted.items() if not tensor.equal(_weights(hf)[name])]
    assert len(changed) == (5 if layout == "official" else 3)
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_it_learns_what_the_official_layout_learns(
    hf: Path, train_input: Callable[..., Any], tmp_path: Path
) -> None:
    """Two steps on the same records: prompt, losses and adapter are the same bytes."""
    from hubkit_peft import PeftTrainer

    from hubkit.sdk import Record, SilentRun, Turn
    from hubkit.weights.convert import native_view

    records = [
        Record(str(n), (f"{n}.png",), (Turn("<image>\nWhich digit?", str(n)),)) for n in range(4)
    ]
    options = {"steps": 2, "batch_size": 2, "threads": 1, "device": "cpu"}
    job, model = train_input(records, "official", options), open_model(hf)
    own = replace(
        train_input(records, "hf", options),
        base=hf,
        native=native_view(model, tmp_path / "native", SilentRun()),
        groups=model.family.native(model.config).groups,
        vision=model.vision,
    )
    known, found = (PeftTrainer().train(one, SilentRun()) for one in (job, own))
    assert (known.prompt, known.prompt_ids) == (found.prompt, found.prompt_ids)
    weights = [
        (one.output / made.adapter / "adapter_model.safetensors").read_bytes()
        for one, made in ((job, known), (own, found))
    ]
    assert weights[0] == weights[1]


def test_the_official_layout_needs_its_files(hf: Path, base: Path, tmp_path: Path) -> None:
    wide = _weights(base)["mlp1.0.weight"].numel()
    at = "language_model.model.layers.0.attention.wo"
    size = _weights(base)[f"{at}.weight"].shape
    adapter = _adapter(tmp_path / "adapter", at, *size, "mlp1.0", wide)
    with pytest.raises(UsageError, match="has code and files that it has not") as refused:
        merge_as("official", Model.of(hf, InternVLHF()), adapter, tmp_path / "out")
    assert "give the official folder as the base" in refused.value.remedy
    assert not (tmp_path / "out").exists()
    merge_as("official", open_model(base), adapter, tmp_path / "out")


BAD = {
    "llm": ({"text_config": {"model_type": "gpt2"}}, r"text_config\.model_type is 'gpt2'"),
    "vit": ({"vision_config": {"use_mask_token": True}}, "use_mask_token must be false"),
    "nothing": ({"vision_config": None}, "vision_config is missing"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_parts_are_refused(tiny: Callable[..., dict[str, Any]], name: str) -> None:
    changes, message = BAD[name]
    config = InternVL().native(tiny("Qwen2ForCausalLM"), TOKENS).config
    with pytest.raises(UsageError, match=message):
        InternVLHF().layout({**config, **changes})
