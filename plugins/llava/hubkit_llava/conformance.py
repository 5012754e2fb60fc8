"""LLaVA-1.5-7B's config.json as llava-hf publishes it, and names of repositories."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.testing import FamilyCase

CONFIG = {
    "architectures": ["LlavaForConditionalGeneration"],
    "model_type": "llava",
    "image_token_index": 32000,
    "projector_hidden_act": "gelu",
    "text_config": {"model_type": "llama", "max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "vocab_size": 32064},
    "vision_config": {
        **{"model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24},
        **{"num_attention_heads": 16, "image_size": 336, "patch_size": 14, "projection_dim": 768, "vocab_size": 32000},
    },
    "vision_feature_layer": -2,
    "vision_feature_select_strategy": "default",
}


def case(folder: Path) -> FamilyCase:
    return FamilyCase(CONFIG, accepted="me/LLaVA-Food-7B", refused="me/Food-7B", tokens={"<image>": 32000})
