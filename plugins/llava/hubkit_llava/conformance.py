"""LLaVA-1.5-7B's config.json as llava-hf publishes it, names of repositories, and InternLM2-1.8B
with CLIP to assemble."""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.testing import FamilyCase, Parts

CONFIG = {
    "architectures": ["LlavaForConditionalGeneration"],
    "model_type": "llava",
    "image_token_index": 32000,
    "projector_hidden_act": "gelu",
    "text_config": {
        "model_type": "llama",
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-05,
        "vocab_size": 32064,
    },
    "vision_config": {
        **{
            "model_type": "clip_vision_model",
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
        },
        **{
            "num_attention_heads": 16,
            "image_size": 336,
            "patch_size": 14,
            "projection_dim": 768,
            "vocab_size": 32000,
        },
    },
    "vision_feature_layer": -2,
    "vision_feature_select_strategy": "default",
}
INTERNLM2 = {
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
        "vocab_size": 92544,
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
}


def case(folder: Path) -> FamilyCase:
    parts = Parts(
        INTERNLM2, {"model_type": "clip", "vision_config": CONFIG["vision_config"]}, 92544
    )
    return FamilyCase(
        CONFIG, "me/LLaVA-Food-7B", "me/Food-7B", tokens={"<image>": 32000}, parts=parts
    )
