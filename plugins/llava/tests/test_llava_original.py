"""LLaVA's own trainers and transformers 5 name things otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hubkit_llava import LLaVA
from safetensors.torch import load_file, save_file
from testing.tiny_llava import copy_tokenizer

from hubkit.weights.check import check
from hubkit.weights.merge import merge
from hubkit.weights.model import Model

CONFIG: dict[str, Any] = {
    "architectures": ["LlavaForConditionalGeneration"],
    "model_type": "llava",
    "image_token_index": 59,
    "text_config": {
        **{"model_type": "llama", "vocab_size": 60, "hidden_size": 32, "intermediate_size": 48},
        **{"num_hidden_layers": 2, "num_attention_heads": 4},
    },
    "vision_config": {
        **{"model_type": "clip_vision_model", "hidden_size": 24, "intermediate_size": 40},
        **{"num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 28, "patch_size": 7},
    },
}


def _model() -> Any:
    import transformers

    torch.manual_seed(4)
    kind = transformers.LlavaForConditionalGeneration
    return kind(kind.config_class(**CONFIG)).eval()


@pytest.fixture
def created(tmp_path: Path) -> Path:
    """As the installed transformers writes a model that it created."""
    folder = tmp_path / "created"
    _model().save_pretrained(folder)
    copy_tokenizer(folder)
    (folder / "preprocessor_config.json").write_text("{}")
    return folder


def _published(created: Path, out: Path) -> Path:
    """The same model under the published names."""
    tensors = load_file(created / "model.safetensors")
    out.mkdir()
    for path in created.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    old, new = "vision_tower.", "vision_tower.vision_model."
    renamed = {name.replace(old, new, 1): tensor for name, tensor in tensors.items()}
    save_file(renamed, out / "model.safetensors", {"format": "pt"})
    return out


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return found


def test_a_model_that_transformers_created(created: Path, tmp_path: Path) -> None:
    """It merges, in its own names, to what the same model under the published names does."""
    published = _published(created, tmp_path / "published")
    assert _weights(created).keys() != _weights(published).keys() == LLaVA().layout(CONFIG).keys()
    for folder in (created, published):
        told = " ".join(problem.message for problem in check(folder, LLaVA()))
        assert "tensor" not in told
    key = "base_model.model.model.vision_tower.encoder.layers.0.self_attn.q_proj.lora_"
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    down, up = torch.randn(2, 24), torch.randn(24, 2)
    save_file({f"{key}A.weight": down, f"{key}B.weight": up}, adapter / "adapter_model.safetensors")
    outs = []
    for folder in (created, published):
        merge(Model.of(folder, LLaVA()), adapter, tmp_path / f"{folder.name}-out")
        outs.append(_weights(tmp_path / f"{folder.name}-out"))
    assert outs[0].keys() == _weights(created).keys()
    name = "vision_tower.encoder.layers.0.self_attn.q_proj.weight"
    torch.testing.assert_close(outs[0][name], _weights(created)[name] + 2 * up @ down)
    for name, tensor in outs[0].items():
        new = name.replace("vision_tower.", "vision_tower.vision_model.", 1)
        assert torch.equal(tensor, outs[1][new])


@pytest.mark.parametrize("outer", ["base_model.model.model.", "base_model.model.", "model.", ""])
def test_a_projector_that_llavas_own_code_trained(
    created: Path, tmp_path: Path, outer: str
) -> None:
    """`non_lora_trainables.bin` of LLaVA's train.py, the vision tower among it."""
    adapter = tmp_path / "llava-lora"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4})
    )
    (adapter / "config.json").write_text(json.dumps({"model_type": "llava_llama"}))
    key = "base_model.model.model.layers.1.self_attn.v_proj.lora_"
    tensors = {f"{key}A.weight": torch.randn(2, 32), f"{key}B.weight": torch.randn(32, 2)}
    save_file(tensors, adapter / "adapter_model.safetensors")
    norm = "vision_tower.vision_tower.vision_model.post_layernorm.bias"
    trained = {
        "mm_projector.0.weight": torch.randn(32, 24),
        "mm_projector.0.bias": torch.randn(32),
        "mm_projector.2.weight": torch.randn(32, 32),
        "mm_projector.2.bias": torch.randn(32),
        norm: torch.randn(24),
    }
    torch.save(
        {outer + name: tensor for name, tensor in trained.items()},
        adapter / "non_lora_trainables.bin",
    )
    report = merge(Model.of(created, LLaVA()), adapter, tmp_path / "out")
    out = _weights(tmp_path / "out")
    for name, published in (
        ("mm_projector.0", "multi_modal_projector.linear_1"),
        ("mm_projector.2", "multi_modal_projector.linear_2"),
    ):
        for part in ("weight", "bias"):
            assert torch.equal(out[f"{published}.{part}"], trained[f"{name}.{part}"])
    assert torch.equal(out["vision_tower.post_layernorm.bias"], trained[norm])
    assert (report.merged, report.replaced, report.adapter_keys) == (1, 5, 7)


def test_class_defaults_that_are_left_out() -> None:
    """Read by transformers' own classes, on the meta device."""
    import transformers

    kind = transformers.LlavaForConditionalGeneration
    for text in ("llama", "mistral", "qwen2"):
        config = {**CONFIG, "text_config": {"model_type": text}}
        config["vision_config"] = {"model_type": "clip_vision_model"}
        with torch.device("meta"):
            live = kind(kind.config_class(**config))
        layout = LLaVA().layout(config)
        shapes = {name: tuple(tensor.shape) for name, tensor in live.state_dict().items()}
        assert {one.name: layout[one.source] for one in LLaVA().native(config).tensors} == shapes
