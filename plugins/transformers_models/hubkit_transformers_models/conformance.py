"""SmolVLM-256M's config.json, in the keys that matter, and names of repositories."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.testing import FamilyCase

CONFIG = {
    "architectures": ["Idefics3ForConditionalGeneration"],
    "model_type": "idefics3",
    **{"image_token_id": 49190, "scale_factor": 4, "tie_word_embeddings": False},
    "text_config": {
        **{"model_type": "llama", "hidden_size": 576, "intermediate_size": 1536},
        **{"num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3},
        **{"head_dim": 64, "vocab_size": 49280, "pad_token_id": 2},
    },
    "vision_config": {
        **{"model_type": "idefics3", "hidden_size": 768, "intermediate_size": 3072},
        **{"num_hidden_layers": 12, "num_attention_heads": 12, "image_size": 512},
        "patch_size": 16,
    },
}


def case(folder: Path) -> FamilyCase:
    return FamilyCase(
        CONFIG, accepted="me/SmolVLM-Food", refused="me/Food--1", tokens={"<image>": 49190}
    )
