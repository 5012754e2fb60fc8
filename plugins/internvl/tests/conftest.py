"""Configurations: InternVL2-2B's own values, and scaled-down models of each language model and
vision tower."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

INTERNVL2_2B: dict[str, Any] = {
    "architectures": ["InternVLChatModel"],
    "auto_map": {
        "AutoConfig": "configuration_internvl_chat.InternVLChatConfig",
        "AutoModel": "modeling_internvl_chat.InternVLChatModel",
        "AutoModelForCausalLM": "modeling_internvl_chat.InternVLChatModel",
    },
    "downsample_ratio": 0.5,
    "dynamic_image_size": True,
    "force_image_size": 448,
    "llm_config": {
        "architectures": ["InternLM2ForCausalLM"],
        "bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "max_position_embeddings": 32768,
        "model_type": "internlm2",
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "num_key_value_heads": 8,
        "pad_token_id": 2,
        "rms_norm_eps": 1e-05,
        "rope_scaling": {"factor": 2.0, "type": "dynamic"},
        "rope_theta": 1000000,
        "tie_word_embeddings": False,
        "vocab_size": 92553,
    },
    "max_dynamic_patch": 12,
    "min_dynamic_patch": 1,
    "model_type": "internvl_chat",
    "ps_version": "v2",
    "select_layer": -1,
    "template": "internlm2-chat",
    "torch_dtype": "bfloat16",
    "use_thumbnail": True,
    "vision_config": {
        "architectures": ["InternVisionModel"],
        "hidden_act": "gelu",
        "hidden_size": 1024,
        "image_size": 448,
        "initializer_factor": 1.0,
        "intermediate_size": 4096,
        "layer_norm_eps": 1e-06,
        "model_type": "intern_vit_6b",
        "norm_type": "layer_norm",
        "num_attention_heads": 16,
        "num_channels": 3,
        "num_hidden_layers": 24,
        "patch_size": 14,
        "qk_normalization": False,
        "qkv_bias": True,
    },
}
VIT_6B = {
    "hidden_size": 3200,
    "intermediate_size": 12800,
    "num_attention_heads": 25,
    "num_hidden_layers": 45,
} | {
    "norm_type": "rms_norm",
    "qk_normalization": True,
    "qkv_bias": False,
}


@pytest.fixture
def official() -> dict[str, Any]:
    return copy.deepcopy(INTERNVL2_2B)


@pytest.fixture
def vit_6b() -> dict[str, Any]:
    return dict(VIT_6B)


@pytest.fixture
def tiny() -> Callable[..., dict[str, Any]]:
    """A scaled-down config: 4 heads over 2 key/value heads, 2 layers, 28-pixel tiles of 7-pixel
    patches, 61 tokens."""

    def build(
        architecture: str = "InternLM2ForCausalLM", *, vit_6b: bool = False, **llm: Any
    ) -> dict[str, Any]:
        config = copy.deepcopy(INTERNVL2_2B)
        config |= {"force_image_size": 28, "max_dynamic_patch": 4, "torch_dtype": "float32"}
        config["llm_config"] |= {
            "architectures": [architecture],
            "hidden_size": 32,
            "intermediate_size": 48,
        } | {
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "vocab_size": 61,
            "rope_scaling": None,
            **llm,
        }
        if vit_6b:
            config["vision_config"] |= VIT_6B
        config["vision_config"] |= {
            "hidden_size": 24,
            "intermediate_size": 40,
            "num_attention_heads": 2,
            "num_hidden_layers": 2,
        }
        config["vision_config"] |= {"image_size": 28, "patch_size": 7}
        return config

    return build
