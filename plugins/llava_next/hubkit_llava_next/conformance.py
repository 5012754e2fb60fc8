"""config.json of llava-v1.6-mistral-7b and of a LLaVA-OneVision as llava-hf publishes them, and
names of repositories."""

from __future__ import annotations

from collections.abc import Mapping
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


ONEVISION = {
    "architectures": ["LlavaOnevisionForConditionalGeneration"],
    "model_type": "llava_onevision",
    "image_grid_pinpoints": [[384, 384], [384, 768], [768, 384], [768, 768], [2304, 2304]],
    **{"image_token_index": 151646, "tie_word_embeddings": False},
    "text_config": {
        **{"model_type": "qwen2", "hidden_size": 896, "intermediate_size": 4864},
        **{"num_hidden_layers": 24, "num_attention_heads": 14, "num_key_value_heads": 2},
        "vocab_size": 152000,
    },
    "vision_config": {
        **{"model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304},
        **{"num_hidden_layers": 26, "num_attention_heads": 16, "image_size": 384},
        **{"patch_size": 14, "vision_use_head": False},
    },
}
"""llava-onevision-qwen2-0.5b-ov's."""


def case(folder: Path) -> Mapping[str, FamilyCase]:
    return {
        "llava_next": FamilyCase(
            CONFIG, "me/llava-v1.6-food", "me/Food", tokens={"<image>": 32000}
        ),
        "llava_onevision": FamilyCase(
            ONEVISION, "me/llava-onevision-food", "me/Food", tokens={"<image>": 151646}
        ),
    }
