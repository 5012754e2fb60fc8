"""The vision transformer and the Q-Former: names and shapes as transformers' Blip2VisionModel and
Blip2QFormerModel, and InstructBLIP's, have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubkit.sdk.families import Section, Shapes, linear, normed

VIT: Mapping[str, Any] = {
    **{"hidden_size": 1408, "intermediate_size": 6144, "num_hidden_layers": 39},
    **{"image_size": 224, "patch_size": 14, "qkv_bias": True},
}
QFORMER: Mapping[str, Any] = {
    **{"vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12},
    **{"intermediate_size": 3072, "max_position_embeddings": 512, "cross_attention_frequency": 2},
    "use_qformer_text_input": False,
}
"""What the configuration classes (transformers 5.23) fill in for absent keys."""
VIT_LINEARS = ("qkv", "projection", "fc1", "fc2")
QFORMER_LINEARS = ("query", "key", "value", "dense")


def tower(config: Mapping[str, Any]) -> Shapes:
    vit, at = Section(config, "vision_config", VIT), "vision_model."
    hidden, inner, patch = (
        vit.size(key) for key in ("hidden_size", "intermediate_size", "patch_size")
    )
    places = (vit.size("image_size") // patch) ** 2 + 1
    yield f"{at}embeddings.class_embedding", (1, 1, hidden)
    yield f"{at}embeddings.position_embedding", (1, places, hidden)
    yield f"{at}embeddings.patch_embedding.weight", (hidden, 3, patch, patch)
    yield f"{at}embeddings.patch_embedding.bias", (hidden,)
    for number in range(vit.size("num_hidden_layers")):
        layer = f"{at}encoder.layers.{number}."
        bias = vit.get("qkv_bias", bool)
        yield from linear(f"{layer}self_attn.qkv", 3 * hidden, hidden, bias)
        yield from linear(f"{layer}self_attn.projection", hidden, hidden)
        yield from normed(f"{layer}layer_norm1", hidden)
        yield from linear(f"{layer}mlp.fc1", inner, hidden)
        yield from linear(f"{layer}mlp.fc2", hidden, inner)
        yield from normed(f"{layer}layer_norm2", hidden)
    yield from normed(f"{at}post_layernorm", hidden)


def qformer(config: Mapping[str, Any], reads: bool) -> Shapes:
    """`reads` where it takes a text beside the queries: it then has embeddings of its own
    (InstructBLIP)."""
    own, at = Section(config, "qformer_config", QFORMER), "qformer."
    hidden = own.size("hidden_size")
    yield "query_tokens", (1, Section(config).size("num_query_tokens", 32), hidden)
    if reads:
        tables = (("word", "vocab_size"), ("position", "max_position_embeddings"))
        for name, key in tables:
            yield f"{at}embeddings.{name}_embeddings.weight", (own.size(key), hidden)
    yield from normed(f"{at}embeddings.layernorm" if reads else f"{at}layernorm", hidden)
    texts = reads or own.get("use_qformer_text_input", bool)
    seen = Section(config, "vision_config", VIT).size("hidden_size")
    for number in range(own.size("num_hidden_layers")):
        layer = f"{at}encoder.layer.{number}."
        yield from _attention(f"{layer}attention.", hidden, hidden)
        if number % own.size("cross_attention_frequency") == 0:
            yield from _attention(f"{layer}crossattention.", hidden, seen)
        for ending in ("", "_query") if texts else ("_query",):
            inner = own.size("intermediate_size")
            yield from linear(f"{layer}intermediate{ending}.dense", inner, hidden)
            yield from linear(f"{layer}output{ending}.dense", hidden, inner)
            yield from normed(f"{layer}output{ending}.LayerNorm", hidden)


def _attention(at: str, hidden: int, seen: int) -> Shapes:
    for name, columns in (("query", hidden), ("key", seen), ("value", seen)):
        yield from linear(f"{at}attention.{name}", hidden, columns)
    yield from linear(f"{at}output.dense", hidden, hidden)
    yield from normed(f"{at}output.LayerNorm", hidden)
