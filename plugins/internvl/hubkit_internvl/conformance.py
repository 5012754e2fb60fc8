"""config.json of InternVL2-2B and of InternVL3-1B-hf, in the keys that matter, and names of
repositories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hubkit.sdk.testing import FamilyCase

CONFIG = {
    "architectures": ["InternVLChatModel"],
    "model_type": "internvl_chat",
    **{
        "downsample_ratio": 0.5,
        "dynamic_image_size": True,
        "force_image_size": 448,
        "ps_version": "v2",
        "select_layer": -1,
    },
    **{
        "min_dynamic_patch": 1,
        "max_dynamic_patch": 12,
        "use_thumbnail": True,
        "template": "internlm2-chat",
    },
    "llm_config": {
        **{
            "architectures": ["InternLM2ForCausalLM"],
            "model_type": "internlm2",
            "hidden_act": "silu",
            "bias": False,
        },
        **{
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 24,
            "vocab_size": 92553,
        },
        **{
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-05,
        },
        **{
            "rope_theta": 1000000,
            "rope_scaling": {"factor": 2.0, "type": "dynamic"},
            "tie_word_embeddings": False,
        },
    },
    "vision_config": {
        **{
            "architectures": ["InternVisionModel"],
            "model_type": "intern_vit_6b",
            "hidden_act": "gelu",
            "qkv_bias": True,
        },
        **{
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
        },
        **{
            "image_size": 448,
            "patch_size": 14,
            "norm_type": "layer_norm",
            "layer_norm_eps": 1e-06,
            "qk_normalization": False,
        },
    },
}


HF_CONFIG = {
    "architectures": ["InternVLForConditionalGeneration"],
    "model_type": "internvl",
    **{"downsample_ratio": 0.5, "image_seq_length": 256, "image_token_id": 151667},
    "tie_word_embeddings": False,
    "text_config": {
        **{"model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864},
        **{"num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2},
        "vocab_size": 151674,
    },
    "vision_config": {"model_type": "internvl_vision", "attention_bias": True},
}
"""InternVL3-1B-hf's."""


def case(folder: Path) -> Mapping[str, FamilyCase]:
    good, bad = "me/InternVL2-2B-Food", "me/Food"
    tokens = {"<IMG_CONTEXT>": 151667}
    return {
        "internvl": FamilyCase(CONFIG, good, bad),
        "internvl_hf": FamilyCase(HF_CONFIG, good, bad, tokens=tokens),
    }
