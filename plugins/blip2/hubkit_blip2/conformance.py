"""config.json of blip2-opt-2.7b and of an InstructBLIP with Vicuna as Salesforce publishes them,
and names of repositories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk.testing import FamilyCase, Parts

CONFIG: Mapping[str, Any] = {
    "architectures": ["Blip2ForConditionalGeneration"],
    **{"model_type": "blip-2", "image_token_index": 50265, "num_query_tokens": 32},
    "qformer_config": {"model_type": "blip_2_qformer"},
    "text_config": {
        **{"model_type": "opt", "hidden_size": 2560, "ffn_dim": 10240, "num_hidden_layers": 32},
        **{"num_attention_heads": 32, "vocab_size": 50304, "word_embed_proj_dim": 2560},
        "eos_token_id": 50118,
    },
    "vision_config": {"model_type": "blip_2_vision_model"},
}
FLAN_T5: Mapping[str, Any] = {
    **CONFIG,
    "image_token_index": 32100,
    "text_config": {
        **{"model_type": "t5", "d_model": 2048, "d_kv": 64, "d_ff": 5120, "num_layers": 24},
        **{"num_heads": 32, "feed_forward_proj": "gated-gelu", "vocab_size": 32128},
        "tie_word_embeddings": False,
    },
}
"""blip2-flan-t5-xl's."""
VICUNA: Mapping[str, Any] = {
    "architectures": ["InstructBlipForConditionalGeneration"],
    **{"model_type": "instructblip", "image_token_index": 32000, "num_query_tokens": 32},
    "qformer_config": {"model_type": "instructblip_qformer", "vocab_size": 30523},
    "text_config": {"model_type": "llama", "vocab_size": 32064},
    "vision_config": {"model_type": "instructblip_vision_model"},
}
"""instructblip-vicuna-7b's, in the keys that matter."""

MINIGPT4: Mapping[str, Any] = {
    **{**CONFIG, "image_token_index": 32000},
    "text_config": {"model_type": "llama", "vocab_size": 32001},
}
"""As assembled with Vicuna 7B."""
LLAMA_7B = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32000}
XXL = {**FLAN_T5, "text_config": {**FLAN_T5["text_config"], "d_model": 4096}}


def case(folder: Path) -> Mapping[str, FamilyCase]:
    return {
        "blip2": FamilyCase(CONFIG, "me/blip2-food", "me/Food", tokens={"<image>": 50265}),
        "instructblip": FamilyCase(
            VICUNA, "me/instructblip-food", "me/Food", tokens={"<image>": 32000}
        ),
        "minigpt4": FamilyCase(
            MINIGPT4,
            "me/MiniGPT-4-7B",
            "me/Food",
            tokens={"<image>": 32000},
            parts=Parts(LLAMA_7B, XXL, 32000),
        ),
    }
