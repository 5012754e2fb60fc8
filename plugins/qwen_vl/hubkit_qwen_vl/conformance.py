"""config.json of Qwen2.5-VL-3B and Qwen3-VL-4B, in the keys that matter, and names of
repositories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hubkit.sdk.testing import FamilyCase

CONFIG = {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "model_type": "qwen2_5_vl",
    **{
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
    },
    **{
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
        "image_token_id": 151655,
    },
    "vision_config": {
        **{
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 2048,
        },
        **{"patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2},
    },
}


QWEN3 = {
    "architectures": ["Qwen3VLForConditionalGeneration"],
    "model_type": "qwen3_vl",
    **{"image_token_id": 151655, "tie_word_embeddings": True},
    "text_config": {
        **{"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36},
        **{"num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 151936},
    },
    "vision_config": {
        **{"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "out_hidden_size": 2560},
        "deepstack_visual_indexes": [5, 11, 17],
    },
}
"""Qwen3-VL-4B's."""


def case(folder: Path) -> Mapping[str, FamilyCase]:
    tokens = {"<|image_pad|>": 151655, "<|vision_start|>": 151652, "<|vision_end|>": 151653}
    return {
        "qwen_vl": FamilyCase(CONFIG, "me/Qwen2.5-VL-Food", "me/Food", tokens=tokens),
        "qwen3_vl": FamilyCase(QWEN3, "me/Qwen3-VL-Food", "me/Food", tokens=tokens),
    }
