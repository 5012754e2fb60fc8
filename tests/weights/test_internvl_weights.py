"""The bundled InternVL family end to end: merge, convert, and what transformers and peft compute
with the results."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from hubkit.registry.plugins import plugins
from hubkit.weights.check import check
from hubkit.weights.convert import to_native, to_official
from hubkit.weights.merge import merge
from hubkit.weights.model import Model

VOCAB = 61
VIT_6B = {"norm_type": "rms_norm", "qk_normalization": True, "qkv_bias": False}
ARCHITECTURES = [f"{name}ForCausalLM" for name in ("InternLM2", "Qwen2", "Qwen3", "Llama", "Phi3")]


@pytest.fixture
def internvl() -> Any:
    return plugins().get("family", "internvl")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


KINDS = [*((architecture, {}) for architecture in ARCHITECTURES), (ARCHITECTURES[0], VIT_6B)]


@pytest.mark.parametrize(("architecture", "vision"), KINDS, ids=[*ARCHITECTURES, "InternViT-6B"])
def test_converted_folders_load_and_go_back(
    tmp_path: Path,
    internvl: Any,
    official_internvl: Any,
    load_native: Any,
    native_logits: Any,
    architecture: str,
    vision: Any,
) -> None:
    base = official_internvl(tmp_path / "base", architecture, **vision)
    to_native(Model.of(base, internvl), tmp_path / "native")
    model = load_native(tmp_path / "native")
    before = native_logits(model)
    assert before.shape == (1, 8, VOCAB) and before.isfinite().all()
    to_official(tmp_path / "native", tmp_path / "back", internvl, base)
    assert digest(tmp_path / "back/model.safetensors") == digest(base / "model.safetensors")
    model.save_pretrained(tmp_path / "saved")
    to_official(tmp_path / "saved", tmp_path / "again", internvl, base)
    assert digest(tmp_path / "again/model.safetensors") == digest(base / "model.safetensors")


@pytest.fixture
def trained(
    tmp_path: Path, internvl: Any, official_internvl: Any, load_native: Any, native_logits: Any
) -> Any:
    """(base, native, the live peft model's logits, its folder) for a peft configuration; every
    trained weight is random."""
    base, native = tmp_path / "base", tmp_path / "native"

    def train(
        architecture: str = ARCHITECTURES[0], **settings: Any
    ) -> tuple[Path, torch.Tensor, Path]:
        from peft import LoraConfig, get_peft_model

        official_internvl(base, architecture)
        to_native(Model.of(base, internvl), native)
        usual = {"r": 4, "lora_alpha": 6, "target_modules": r".*language_model.*_proj|lm_head"}
        torch.manual_seed(11)  # peft draws the LoRA from it
        model = get_peft_model(load_native(native), LoraConfig(**{**usual, **settings}))
        generator = torch.Generator().manual_seed(11)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
        model.save_pretrained(tmp_path / "adapter")
        return base, native_logits(model.eval()), tmp_path / "adapter"

    return train


PEFT_SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "Qwen3": {"architecture": "Qwen3ForCausalLM"},
    "projector": {"modules_to_save": ["multi_modal_projector"]},
    "rslora": {"use_rslora": True},
    "patterns": {
        "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp\.up_proj": 7},
        "alpha_pattern": {"lm_head": 3},
    },
    "projector and vision by LoRA": {
        "target_modules": r".*(linear_1|linear_2|q_proj|projection_layer|fc1|fc2)"
    },
    "dora": {"use_dora": True},
    "lora with bias": {
        "target_modules": r".*vision_tower.*(fc1|fc2|q_proj|projection_layer)",
        "lora_bias": True,
    },
    "trained biases": {"bias": "all", "target_modules": r".*vision_tower.*(fc1|fc2)"},
    "embeddings by LoRA": {"target_modules": ["embed_tokens", "o_proj"]},
    "embeddings whole": {"modules_to_save": ["embed_tokens"]},
}


@pytest.mark.parametrize("name", PEFT_SETTINGS)
def test_merged_logits_are_those_of_the_live_adapter(
    trained: Any, tmp_path: Path, internvl: Any, load_native: Any, native_logits: Any, name: str
) -> None:
    base, live, adapter = trained(**PEFT_SETTINGS[name])
    report = merge(Model.of(base, internvl), adapter, tmp_path / "merged")
    to_native(Model.of(tmp_path / "merged", internvl), tmp_path / "merged-native")
    merged = native_logits(load_native(tmp_path / "merged-native"))
    assert (merged - live).abs().max() <= 1e-5
    assert (merged - native_logits(load_native(tmp_path / "native"))).abs().max() > 1e-2
    assert report.merged + report.replaced > 0 and report.largest_delta > 0


def test_the_shipped_base(tmp_path: Path, internvl: Any, load_native: Any) -> None:
    base = Path(__file__).parents[2] / "hubkit/quickstart/base"
    assert check(base, internvl) == ()
    to_native(Model.of(base, internvl), tmp_path / "native")
    assert sum(p.numel() for p in load_native(tmp_path / "native").parameters()) > 1_000_000
    to_official(tmp_path / "native", tmp_path / "back", internvl, base)
    assert digest(tmp_path / "back/model.safetensors") == digest(base / "model.safetensors")
