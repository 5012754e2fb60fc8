"""How many parameters a configuration trains, from config.json alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DECODERS = ("LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
"""Language models that hubkit's own modules train, with transformers' names."""
Linear = tuple[str, int, int]
"""Last part of the name, inputs, outputs."""


def count(model: Mapping[str, Any], base: Mapping[str, Any]) -> int | None:
    """`model` is the configuration's, `base` the folder's config.json. None when whole towers are
    trained, which is for the training itself to count."""
    llm, vit = model.get("llm_lora"), model.get("visual_encoder_lora")
    if (not llm and not model.get("freeze_llm")) or (
        not vit and not model.get("freeze_visual_encoder")
    ):
        return None
    total = projector(base)
    for lora, linears in ((llm, language_linears(base)), (vit, vision_linears(base))):
        if not isinstance(lora, Mapping):
            continue
        targets = lora.get("target_modules")
        chosen = [
            one
            for one in linears
            if targets is None or any(_matches(one[0], target) for target in targets)
        ]
        total += sum(int(lora.get("r", 8)) * (inputs + outputs) for _, inputs, outputs in chosen)
    return total


def projector(base: Mapping[str, Any]) -> int:
    hidden = int(base["llm_config"]["hidden_size"])
    wide = int(base["vision_config"]["hidden_size"]) * int(
        round(1 / base.get("downsample_ratio", 0.5)) ** 2
    )
    return 2 * wide + wide * hidden + hidden + hidden * hidden + hidden


def language_linears(base: Mapping[str, Any]) -> list[Linear]:
    """xtuner's own choice, `target_modules=None`, takes every linear layer but `lm_head`;
    InternLM2's head is called `output` and is taken."""
    llm = base["llm_config"]
    hidden, inner, heads = (
        int(llm["hidden_size"]),
        int(llm["intermediate_size"]),
        int(llm["num_attention_heads"]),
    )
    kv = int(llm.get("num_key_value_heads") or heads)
    qkv = (heads + 2 * kv) * (hidden // heads)
    if llm["architectures"][0] in DECODERS:
        return _decoder_linears(llm, hidden, inner, heads, kv)
    if llm["architectures"][0] == "Phi3ForCausalLM":
        layer = [
            ("qkv_proj", hidden, qkv),
            ("o_proj", hidden, hidden),
            ("gate_up_proj", hidden, 2 * inner),
        ]
        return [*layer, ("down_proj", inner, hidden)] * int(llm["num_hidden_layers"])
    layer = [
        ("wqkv", hidden, qkv),
        ("wo", hidden, hidden),
        ("w1", hidden, inner),
        ("w3", hidden, inner),
        ("w2", inner, hidden),
    ]
    return [*layer * int(llm["num_hidden_layers"]), ("output", hidden, int(llm["vocab_size"]))]


def _decoder_linears(
    llm: Mapping[str, Any], hidden: int, inner: int, heads: int, kv: int
) -> list[Linear]:
    newest = llm["architectures"][0] == "Qwen3ForCausalLM"
    size = int(llm.get("head_dim") or (128 if newest else hidden // heads))
    layer = [
        ("q_proj", hidden, heads * size),
        ("k_proj", hidden, kv * size),
        ("v_proj", hidden, kv * size),
        ("o_proj", heads * size, hidden),
        ("gate_proj", hidden, inner),
        ("up_proj", hidden, inner),
        ("down_proj", inner, hidden),
    ]
    return layer * int(llm["num_hidden_layers"])


def vision_linears(base: Mapping[str, Any]) -> list[Linear]:
    vit = base["vision_config"]
    width, inner = int(vit["hidden_size"]), int(vit["intermediate_size"])
    layer = [
        ("attn.qkv", width, 3 * width),
        ("attn.proj", width, width),
        ("mlp.fc1", width, inner),
        ("mlp.fc2", inner, width),
    ]
    return layer * int(vit["num_hidden_layers"])


def _matches(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}") or target.endswith(f".{name}")


def checkpoint_bytes(parameters: int, *, optimizer: bool) -> int:
    """float32, and with the optimizer its two moments and DeepSpeed's own copy besides."""
    return parameters * (16 if optimizer else 4)
