"""The bundled InternVL family end to end: merge, convert, and what transformers and peft compute with the results."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from hubkit.registry import plugins
from hubkit.weights.check import check
from hubkit.weights.convert import to_native, to_official
from hubkit.weights.merge import merge

CONTEXT, VOCAB = 57, 61
VIT_6B = {"norm_type": "rms_norm", "qk_normalization": True, "qkv_bias": False}
ARCHITECTURES = ["InternLM2ForCausalLM", "Qwen2ForCausalLM", "LlamaForCausalLM", "Phi3ForCausalLM"]


@pytest.fixture
def internvl() -> Any:
    return plugins().get("family", "internvl")


def official(folder: Path, family: Any, architecture: str = ARCHITECTURES[0], **vision: Any) -> Path:
    """A random model of the official layout: 2 layers of 4 heads over 2, tiles of 28 pixels, 4 image tokens."""
    config = {
        "architectures": ["InternVLChatModel"], "model_type": "internvl_chat", "ps_version": "v2", "select_layer": -1,
        "downsample_ratio": 0.5, "force_image_size": 28, "dynamic_image_size": True, "max_dynamic_patch": 4,
        "template": "internlm2-chat", "torch_dtype": "float32",
        "llm_config": {
            "architectures": [architecture], "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4,
            "num_hidden_layers": 2, "num_key_value_heads": 2, "vocab_size": VOCAB, "bias": False, "rms_norm_eps": 1e-5,
            "rope_theta": 1000000, "rope_scaling": {"type": "dynamic", "factor": 2.0}, "max_position_embeddings": 64,
            "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "hidden_act": "silu", "tie_word_embeddings": False,
        },
        "vision_config": {
            "hidden_size": 24, "intermediate_size": 40, "num_attention_heads": 2, "num_hidden_layers": 2, "image_size": 28,
            "patch_size": 7, "num_channels": 3, "norm_type": "layer_norm", "qkv_bias": True, "qk_normalization": False, **vision,
        },
    }  # fmt: skip
    if architecture == "Phi3ForCausalLM":
        config["llm_config"]["rope_scaling"] = None
    folder.mkdir()
    generator = torch.Generator().manual_seed(3)
    tensors = {n: torch.randn(s, generator=generator) * 0.2 for n, s in family.layout(config).items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    added = [{"id": CONTEXT, "content": "<IMG_CONTEXT>", "special": True}]
    files = {
        "config.json": config, "generation_config.json": {"eos_token_id": [2]}, "special_tokens_map.json": {},
        "tokenizer_config.json": {"added_tokens_decoder": {str(CONTEXT): {"content": "<IMG_CONTEXT>"}}},
        "tokenizer.json": {"model": {}, "added_tokens": added},
    }  # fmt: skip
    for name, data in files.items():
        (folder / name).write_text(json.dumps(data))
    return folder


def load(folder: Path) -> Any:
    from transformers import AutoModelForImageTextToText

    model, info = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    assert {key: list(value) for key, value in info.items() if value} == {}
    return model.eval()


def logits(model: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    ids = torch.tensor([[1, *[CONTEXT] * 4, 5, 6, 7]])
    with torch.no_grad():
        picture = torch.randn(1, 3, 28, 28, generator=generator)
        found: torch.Tensor = model(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=picture).logits
    return found


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


KINDS = [*((architecture, {}) for architecture in ARCHITECTURES), (ARCHITECTURES[0], VIT_6B)]


@pytest.mark.parametrize(("architecture", "vision"), KINDS, ids=[*ARCHITECTURES, "InternViT-6B"])
def test_converted_folders_load_and_go_back(tmp_path: Path, internvl: Any, architecture: str, vision: dict[str, Any]) -> None:
    base = official(tmp_path / "base", internvl, architecture, **vision)
    to_native(base, tmp_path / "native", internvl)
    model = load(tmp_path / "native")
    before = logits(model)
    assert before.shape == (1, 8, VOCAB) and before.isfinite().all()
    to_official(tmp_path / "native", tmp_path / "back", internvl, base)
    assert digest(tmp_path / "back/model.safetensors") == digest(base / "model.safetensors")
    model.save_pretrained(tmp_path / "saved")
    to_official(tmp_path / "saved", tmp_path / "again", internvl, base)
    assert digest(tmp_path / "again/model.safetensors") == digest(base / "model.safetensors")


@pytest.fixture
def trained(tmp_path: Path, internvl: Any) -> Any:
    """(base, native, the live peft model's logits, its folder) for a peft configuration; every trained weight is random."""
    base = official(tmp_path / "base", internvl)
    native = tmp_path / "native"
    to_native(base, native, internvl)

    def train(**settings: Any) -> tuple[Path, torch.Tensor, Path]:
        from peft import LoraConfig, get_peft_model

        usual = {"r": 4, "lora_alpha": 6, "target_modules": r".*language_model.*_proj|lm_head"}
        model = get_peft_model(load(native), LoraConfig(**{**usual, **settings}))
        generator = torch.Generator().manual_seed(11)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
        model.save_pretrained(tmp_path / "adapter")
        return base, logits(model.eval()), tmp_path / "adapter"

    return train


PEFT_SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "projector": {"modules_to_save": ["multi_modal_projector"]},
    "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.up_proj": 7}, "alpha_pattern": {"lm_head": 3}},
    "projector and vision by LoRA": {"target_modules": r".*(linear_1|linear_2|q_proj|projection_layer|fc1|fc2)"},
    "dora": {"use_dora": True},
    "lora with bias": {"target_modules": r".*vision_tower.*(fc1|fc2|q_proj|projection_layer)", "lora_bias": True},
    "trained biases": {"bias": "all", "target_modules": r".*vision_tower.*(fc1|fc2)"},
    "embeddings by LoRA": {"target_modules": ["embed_tokens", "o_proj"]},
    "embeddings whole": {"modules_to_save": ["embed_tokens"]},
}


@pytest.mark.parametrize("name", PEFT_SETTINGS)
def test_merged_logits_are_those_of_the_live_adapter(trained: Any, tmp_path: Path, internvl: Any, name: str) -> None:
    base, live, adapter = trained(**PEFT_SETTINGS[name])
    report = merge(base, adapter, tmp_path / "merged", internvl)
    to_native(tmp_path / "merged", tmp_path / "merged-native", internvl)
    merged = logits(load(tmp_path / "merged-native"))
    assert (merged - live).abs().max() <= 1e-5
    assert (merged - logits(load(tmp_path / "native"))).abs().max() > 1e-2
    assert report.merged + report.replaced > 0 and report.largest_delta > 0


def test_the_shipped_base(tmp_path: Path, internvl: Any) -> None:
    base = Path(__file__).parents[2] / "hubkit/quickstart/base"
    if not (base / "model.safetensors").is_file():
        pytest.skip("the quickstart's base is not there")
    assert check(base, internvl) == ()
    to_native(base, tmp_path / "native", internvl)
    assert sum(p.numel() for p in load(tmp_path / "native").parameters()) > 1_000_000
    to_official(tmp_path / "native", tmp_path / "back", internvl, base)
    assert digest(tmp_path / "back/model.safetensors") == digest(base / "model.safetensors")
