"""What configuration classes fill in for the keys that a config.json leaves out: files that
transformers saves hold what differs from these values alone.

Read off transformers 5.23 (tests/sdk/test_class_defaults.py compares them) and for InternVL off
OpenGVLab/InternVL, internvl_chat/internvl/model/: internvl_chat/configuration_intern_vit.py (at
b9b1bb8) and internlm2/configuration_internlm2.py (at 0c158c3). A key whose default depends on
others (key/value heads of Llama and InternLM2) has none here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _decoder(vocabulary: int, hidden: int, inner: int, layers: int, heads: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }


DECODERS: Mapping[str, Mapping[str, Any]] = {
    "llama": _decoder(32000, 4096, 11008, 32, 32),
    "mistral": {**_decoder(32000, 4096, 14336, 32, 32), "num_key_value_heads": 8},
    "qwen2": {**_decoder(151936, 4096, 22016, 32, 32), "num_key_value_heads": 32},
    "qwen3": {
        **_decoder(151936, 4096, 22016, 32, 32),
        **{"num_key_value_heads": 32, "head_dim": 128},
    },
    "phi3": _decoder(32064, 3072, 8192, 32, 32),
    "internlm2": {**_decoder(103168, 4096, 11008, 32, 32), "bias": True},
    "qwen3_vl_text": {
        **_decoder(151936, 4096, 22016, 32, 32),
        **{"num_key_value_heads": 32, "head_dim": 128},
    },
    "qwen3_moe": {
        **_decoder(151936, 2048, 6144, 24, 32),
        **{"num_key_value_heads": 4, "num_experts": 128, "moe_intermediate_size": 768},
    },
    "qwen3_vl_moe_text": {
        **_decoder(151936, 2048, 5632, 24, 16),
        **{"num_key_value_heads": 16, "num_experts": 60, "moe_intermediate_size": 1408},
    },
    "gpt_oss": {
        **_decoder(201088, 2880, 2880, 36, 64),
        **{"num_key_value_heads": 8, "head_dim": 64, "num_local_experts": 128},
        "attention_bias": True,
    },
    "qwen2_vl": {**_decoder(152064, 8192, 29568, 80, 64), "num_key_value_heads": 8},
}
"""Language models by model_type. Qwen2.5-VL's is Qwen2-VL's."""

_QWEN_VIT = {
    "depth": 32,
    "hidden_size": 3584,
    "num_heads": 16,
    "in_channels": 3,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}

VISION: Mapping[str, Mapping[str, Any]] = {
    "clip_vision_model": {
        **{"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12},
        **{"num_attention_heads": 12, "num_channels": 3, "image_size": 224, "patch_size": 32},
    },
    "siglip_vision_model": {
        **{"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12},
        **{"num_attention_heads": 12, "num_channels": 3, "image_size": 224, "patch_size": 16},
    },
    "intern_vit_6b": {
        **{"hidden_size": 3200, "intermediate_size": 12800, "num_hidden_layers": 48},
        **{"num_attention_heads": 25, "num_channels": 3, "image_size": 224, "patch_size": 14},
        **{"qkv_bias": False, "qk_normalization": True, "norm_type": "rms_norm"},
    },
    "qwen2_vl": {**_QWEN_VIT, "embed_dim": 1280, "mlp_ratio": 4},
    "qwen3_vl": {
        **{"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16},
        **{"in_channels": 3, "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2},
        **{"out_hidden_size": 3584, "num_position_embeddings": 2304},
        "deepstack_visual_indexes": (8, 16, 24),
    },
    "qwen2_5_vl": {**_QWEN_VIT, "intermediate_size": 3420, "out_hidden_size": 3584},
}
"""Vision towers by model_type."""
