"""Qwen2.5-VL-3B's config.json, in the keys that matter, and names of repositories."""

from __future__ import annotations

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


def case(folder: Path) -> FamilyCase:
    tokens = {"<|image_pad|>": 151655, "<|vision_start|>": 151652, "<|vision_end|>": 151653}
    return FamilyCase(CONFIG, accepted="me/Qwen2.5-VL-Food", refused="me/Food", tokens=tokens)
