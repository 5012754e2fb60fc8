"""InternViT and the projector `mlp1`. Defaults are those of OpenGVLab's InternVisionConfig (the 6 B
model's)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .parts import Part, stacked, whole
from .settings import Settings

LINEARS = ("q_proj", "k_proj", "v_proj", "projection_layer", "fc1", "fc2")


def parts(config: Mapping[str, Any]) -> Iterator[Part]:
    vit = Settings(config, "vision_config")
    hidden, patch, channels = (
        vit.size("hidden_size"),
        vit.square("patch_size"),
        vit.size("num_channels", 3),
    )
    positions = (vit.square("image_size") // patch) ** 2 + 1
    old, new = "vision_model.embeddings.", "model.vision_tower.embeddings."
    yield whole(old + "class_embedding", new + "cls_token", 1, 1, hidden)
    yield whole(old + "position_embedding", new + "position_embeddings", 1, positions, hidden)
    projection = new + "patch_embeddings.projection"
    yield whole(
        old + "patch_embedding.weight", projection + ".weight", hidden, channels, patch, patch
    )
    yield whole(old + "patch_embedding.bias", projection + ".bias", hidden)
    for layer in range(vit.size("num_hidden_layers")):
        yield from _layer(
            vit,
            f"vision_model.encoder.layers.{layer}.",
            f"model.vision_tower.encoder.layer.{layer}.",
        )


def _layer(vit: Settings, old: str, new: str) -> Iterator[Part]:
    hidden, inner = vit.size("hidden_size"), vit.size("intermediate_size")
    for scale in ("1", "2"):
        yield whole(f"{old}ls{scale}", f"{new}lambda_{scale}", hidden)
    for number, name in (("1", "layernorm_before"), ("2", "layernorm_after")):
        yield whole(f"{old}norm{number}.weight", f"{new}{name}.weight", hidden)
        if norm_type(vit) == "layer_norm":
            yield whole(f"{old}norm{number}.bias", f"{new}{name}.bias", hidden)
    yield from _attention(vit, old + "attn.", new + "attention.")
    for name, rows, columns in (("fc1", inner, hidden), ("fc2", hidden, inner)):
        yield whole(f"{old}mlp.{name}.weight", f"{new}mlp.{name}.weight", rows, columns)
        yield whole(f"{old}mlp.{name}.bias", f"{new}mlp.{name}.bias", rows)


def _attention(vit: Settings, old: str, new: str) -> Iterator[Part]:
    hidden = vit.size("hidden_size")
    kinds = ("weight", "bias") if vit.get("qkv_bias", bool, False) else ("weight",)
    for kind in kinds:
        names = [f"{new}{name}_proj.{kind}" for name in "qkv"]
        yield stacked(
            f"{old}qkv.{kind}", names, [hidden] * 3, *([hidden] if kind == "weight" else [])
        )
    if vit.get("qk_normalization", bool, True):
        for name in ("q_norm", "k_norm"):
            yield whole(f"{old}{name}.weight", f"{new}{name}.weight", hidden)
    yield whole(old + "proj.weight", new + "projection_layer.weight", hidden, hidden)
    yield whole(old + "proj.bias", new + "projection_layer.bias", hidden)


def norm_type(vit: Settings) -> str:
    kind = vit.get("norm_type", str, "rms_norm")
    if kind not in ("layer_norm", "rms_norm"):
        raise vit.wrong("norm_type", f"must be layer_norm or rms_norm, not {kind!r}")
    return kind


def shrink(config: Mapping[str, Any]) -> int:
    """Patches along one side that the pixel shuffle turns into one position: 1 /
    downsample_ratio."""
    top = Settings(config)
    ratio = top.get("downsample_ratio", float, 0.5)
    if ratio <= 0 or (1 / ratio) != int(1 / ratio):
        raise top.wrong("downsample_ratio", f"must be one over a whole number, not {ratio}")
    return int(1 / ratio)


def projector_parts(config: Mapping[str, Any]) -> Iterator[Part]:
    """`mlp1`: LayerNorm and two linears, from all patches of one position to the language model's
    width."""
    wide = Settings(config, "vision_config").size("hidden_size") * shrink(config) ** 2
    hidden = Settings(config, "llm_config").size("hidden_size")
    old, new = "mlp1.", "model.multi_modal_projector."
    shapes = {"0": (wide,), "1": (hidden, wide), "3": (hidden, hidden)}
    for (number, shape), name in zip(
        shapes.items(), ("layer_norm", "linear_1", "linear_2"), strict=True
    ):
        yield whole(f"{old}{number}.weight", f"{new}{name}.weight", *shape)
        yield whole(f"{old}{number}.bias", f"{new}{name}.bias", shape[0])
