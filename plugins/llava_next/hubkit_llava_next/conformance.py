"""llava-v1.6-mistral-7b's config.json as llava-hf publishes it, and names of repositories."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.testing import FamilyCase

CONFIG = {
    "architectures": ["LlavaNextForConditionalGeneration"],
    "model_type": "llava_next",
    "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
    "image_token_index": 32000,
    "text_config": {
        "model_type": "mistral",
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "vocab_size": 32064,
    },
    "vision_config": {
        **{
            "model_type": "clip_vision_model",
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
        },
        **{"num_attention_heads": 16, "image_size": 336, "patch_size": 14, "projection_dim": 768},
    },
}


def case(folder: Path) -> FamilyCase:
    return FamilyCase(
        CONFIG, accepted="me/llava-v1.6-food", refused="me/Food", tokens={"<image>": 32000}
    )
