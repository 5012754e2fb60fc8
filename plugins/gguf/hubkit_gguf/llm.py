"""The language model, by llama.cpp's names (gguf-py: `constants.py`, `tensor_mapping.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hubkit.sdk import RefusedError

from .tensors import Arrange, Tensor, interleaved

ARCHITECTURES = {"llama": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
ARCHITECTURES |= dict.fromkeys(("qwen2_5_vl", "qwen2_5_vl_text"), "qwen2vl")
"""llama.cpp's names by transformers' model_type."""
PREFIX = "model.language_model."
_WHOLE = {"embed_tokens.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}
_LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def check(config: Mapping[str, Any]) -> str:
    """The architecture. Raises RefusedError for a language model that this exporter has no place
    for, its rotary positions among it."""
    name = config.get("model_type")
    if name not in ARCHITECTURES:
        raise RefusedError(
            f"the language model is of type {name!r}: GGUF is written for "
            f"{', '.join(ARCHITECTURES)}",
            "leave the variant out of the release file",
        )
    if config.get("hidden_act", "silu") != "silu":
        raise RefusedError(
            f"hidden_act is {config['hidden_act']!r}; llama.cpp's {name} has silu",
            "leave the variant out of the release file",
        )
    rope = _rope(config)
    sections = rope.get("mrope_section")
    kind = "mrope" if sections else rope.get("rope_type", rope.get("type", "default"))
    known = ("mrope",) if ARCHITECTURES[name] == "qwen2vl" else ("default", "dynamic", "linear")
    if kind not in known:
        raise RefusedError(
            f"the rotary positions are of type {kind!r}; written are {', '.join(known)}",
            "leave the variant out of the release file",
        )
    return ARCHITECTURES[name]


def metadata(writer: Any, config: Mapping[str, Any]) -> None:
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    _rotary(writer, _rope(config))


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    said = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return {"rope_theta": config.get("rope_theta"), **said}


def _rotary(writer: Any, rope: Mapping[str, Any]) -> None:
    from gguf import RopeScalingType

    writer.add_rope_freq_base(float(rope.get("rope_theta") or 10000.0))
    if sections := rope.get("mrope_section"):
        writer.add_rope_dimension_sections([*sections, 0, 0][:4])
    if rope.get("rope_type") == "linear":  # dynamic is plain up to the context length
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(rope["factor"]))


def tensors(names: Iterable[str], config: Mapping[str, Any], arch: str) -> list[Tensor]:
    """Those of the language model among the native `names`."""
    heads = {"attn_q": config["num_attention_heads"]}
    heads["attn_k"] = config.get("num_key_value_heads") or heads["attn_q"]
    found = []
    for name in names:
        if name == "lm_head.weight":
            found.append(Tensor("output.weight", name))
        own = name.removeprefix(PREFIX)
        if own == name:
            continue
        if own in _WHOLE:
            found.append(Tensor(_WHOLE[own], name))
        elif own.startswith("layers."):
            number, _, rest = own.removeprefix("layers.").partition(".")
            module, _, kind = rest.rpartition(".")
            if module in _LAYER and kind in ("weight", "bias"):
                to = _LAYER[module]
                order: Arrange | None = None
                if arch == "llama" and to in heads:
                    order = interleaved(heads[to])
                found.append(Tensor(f"blk.{number}.{to}.{kind}", name, order))
    return found
