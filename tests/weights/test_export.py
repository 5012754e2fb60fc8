"""Adapter-only releases: peft loads what was written and computes the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubkit.registry.plugins import plugins
from hubkit.sdk import WeightsError
from hubkit.weights.export import write_adapter
from hubkit.weights.merge import merge
from hubkit.weights.model import Model

AT = "language_model.model.layers.0"


def internvl_lora(folder: Path, lora: Any) -> Path:
    """InternVL's own checkpoint with LoRAs on fused and plain tensors, of two ranks' worth of
    settings, and mlp1 trained."""
    tensors = {"mlp1.1.weight": torch.randn(32, 32)}
    for seed, (module, height, width) in enumerate(
        [("attention.wqkv", 64, 32), ("feed_forward.w2", 32, 48)]
    ):
        for name, tensor in lora(f"{AT}.{module}", height, width, seed=seed).items():
            tensors[
                name.replace("base_model.model.language_model.", "language_model.base_model.model.")
            ] = tensor
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text('{"use_llm_lora": 4}')
    return folder


@pytest.mark.parametrize("names", ["trained", "native"])
def test_what_is_written_merges_to_the_same_weights(
    make_base: Any, lora: Any, family: Any, tmp_path: Path, names: Any
) -> None:
    base, trained = make_base(), internvl_lora(tmp_path / "trained", lora)
    report = write_adapter(
        trained, tmp_path / "peft", family, base, "OpenGVLab/InternVL2-2B", names=names
    )
    assert {file.path for file in report.files} == {
        path.name for path in (tmp_path / "peft").iterdir()
    }
    config = json.loads((tmp_path / "peft/adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (
        4,
        8,
        "OpenGVLab/InternVL2-2B",
    )
    keys = load_file(tmp_path / "peft/adapter_model.safetensors")
    if names == "native":
        at = "base_model.model.model.language_model.layers.0"
        assert f"{at}.self_attn.k_proj.lora_B.weight" in keys and keys[
            f"{at}.self_attn.v_proj.lora_B.weight"
        ].shape == (16, 4)
        assert config["modules_to_save"] == ["model.multi_modal_projector.linear_1"]
    else:
        assert f"base_model.model.{AT}.attention.wqkv.lora_A.weight" in keys and config[
            "modules_to_save"
        ] == ["mlp1.1"]
    one, two = (
        merge(Model.of(base, family), trained, tmp_path / "a"),
        merge(Model.of(base, family), tmp_path / "peft", tmp_path / "b"),
    )
    assert one.files == two.files


def test_an_adapter_that_does_not_fit_is_not_written(
    make_base: Any, lora: Any, family: Any, tmp_path: Path
) -> None:
    trained = internvl_lora(tmp_path / "trained", lora)
    tensors = load_file(trained / "model.safetensors")
    save_file({**tensors, "odd.weight": torch.zeros(1)}, trained / "model.safetensors")
    with pytest.raises(WeightsError, match=r"odd\.weight"):
        write_adapter(trained, tmp_path / "peft", family, make_base(), "a/b")
    assert not (tmp_path / "peft").exists()


def test_peft_loads_the_native_adapter(
    tmp_path: Path, official_internvl: Any, load_native: Any, native_logits: Any
) -> None:
    """LoRAs on wqkv and the head in the official layout, loaded by peft into transformers' own
    model."""
    from peft import PeftModel

    from hubkit.weights.convert import to_native

    family = plugins().get("family", "internvl")
    base = official_internvl(tmp_path / "base")
    draw = torch.Generator().manual_seed(2)
    tensors = {
        "mlp1.1.weight": torch.randn(32, 96, generator=draw),
        "mlp1.1.bias": torch.randn(32, generator=draw),
    }
    for module, height in (
        (f"{AT}.attention.wqkv", 64),
        (f"{AT}.feed_forward.w1", 48),
        ("language_model.output", 61),
    ):
        at = module.replace("language_model.", "language_model.base_model.model.", 1)
        tensors[f"{at}.lora_A.default.weight"] = torch.randn(4, 32, generator=draw) * 0.1
        tensors[f"{at}.lora_B.default.weight"] = torch.randn(height, 4, generator=draw) * 0.1
    trained = tmp_path / "trained"
    trained.mkdir()
    save_file(tensors, trained / "model.safetensors")
    (trained / "config.json").write_text('{"use_llm_lora": 4}')
    write_adapter(trained, tmp_path / "peft", family, base, "a/InternVL2-b", names="native")
    merge(Model.of(base, family), trained, tmp_path / "merged")
    for name in ("base", "merged"):
        to_native(Model.of(tmp_path / name, family), tmp_path / f"{name}-native")
    live = PeftModel.from_pretrained(
        load_native(tmp_path / "base-native"), tmp_path / "peft"
    ).eval()
    assert (
        native_logits(live) - native_logits(load_native(tmp_path / "merged-native"))
    ).abs().max() <= 1e-5


def test_a_peft_folder_keeps_its_keys_and_loses_its_paths(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, tmp_path: Path
) -> None:
    adapter = make_adapter(
        lora("lm_head", 64, 32), base_model_name_or_path="/home/someone/base", revision=None
    )
    report = write_adapter(adapter, tmp_path / "peft", family, make_base(), "a/b")
    before, after = (
        load_file(folder / "adapter_model.safetensors") for folder in (adapter, tmp_path / "peft")
    )
    assert before.keys() == after.keys() and all(
        torch.equal(after[name], tensor) for name, tensor in before.items()
    )
    assert (
        json.loads((tmp_path / "peft/adapter_config.json").read_text())["base_model_name_or_path"]
        == "a/b"
    )
    assert report.tensors == 2


def test_half_a_module_cannot_be_stored(make_base: Any, family: Any, tmp_path: Path) -> None:
    trained = tmp_path / "trained"
    trained.mkdir()
    save_file({"mlp1.0.weight": torch.zeros(32)}, trained / "model.safetensors")
    (trained / "config.json").write_text('{"use_llm_lora": 4}')
    with pytest.raises(WeightsError, match=r"'mlp1\.0\.bias' is not among its tensors"):
        write_adapter(trained, tmp_path / "peft", family, make_base(), "a/b")
