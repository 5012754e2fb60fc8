"""The vision tower: pictures as bytes in, features out; frozen layers are fused and keep no
activation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from hubkit.sdk import Vision

from ..shares import Share, release, share_all
from .attention import dense
from .compiled import compiled
from .features import Features
from .lora import in_one

_TILES_AT_ONCE = 64


class Tower:
    """From uint8 (tiles, 3, side, side) to what `mlp1` reads, (tiles, positions, 4 * width):
    normalisation, the ViT without its class token, pixel shuffle. When the ViT is frozen its layers
    get a forward with one product for q, k and v, and `features` keep what it makes."""

    def __init__(
        self,
        inner: Any,
        mean: Any,
        std: Any,
        compiling: bool,
        features: Features | None,
        share: Share | None = None,
    ) -> None:
        self._inner = inner
        self._frozen = frozen(inner)
        self._dtype = inner.language_model.embed_tokens.weight.dtype
        device = inner.language_model.embed_tokens.weight.device
        self._mean, self._std = (
            torch.tensor(values, device=device)[:, None, None] for values in (mean, std)
        )
        self._kept = features
        if self._frozen:
            _hasten(inner.vision_tower, compiling, share)
        if share:
            share_all(inner.vision_tower, inner.vision_tower.encoder.layer, share)

    def __call__(self, pixels: Any, tiles: Sequence[int], numbers: Sequence[int]) -> Any:
        """`tiles` are each record's share of `pixels`, `numbers` its number."""
        if not self._frozen:
            with torch.autocast(
                pixels.device.type, torch.bfloat16, enabled=self._dtype == torch.bfloat16
            ):
                return self._features(pixels)
        with torch.no_grad():
            if self._kept is None:
                return self._all(pixels)
            return self._kept(pixels, tiles, numbers, self._all)

    def _all(self, pixels: Any) -> Any:
        return torch.cat([self._features(part) for part in pixels.split(_TILES_AT_ONCE)])

    def _features(self, pixels: Any) -> Any:
        normal = ((pixels.float() / 255 - self._mean) / self._std).to(self._dtype)
        hidden = self._inner.vision_tower(pixel_values=normal).last_hidden_state[:, 1:]
        side = int(hidden.shape[1] ** 0.5)
        shuffled = self._inner.pixel_shuffle(
            hidden.reshape(-1, side, side, hidden.shape[-1]),
            scale_factor=self._inner.config.downsample_ratio,
        )
        return shuffled.reshape(len(pixels), -1, shuffled.shape[-1])


def fits(inner: Any) -> bool:
    """True when `inner` is transformers' InternVL with the features that are used here."""
    config = inner.config
    return (
        config.model_type == "internvl"
        and config.vision_feature_layer == -1
        and config.vision_feature_select_strategy == "default"
        and hasattr(inner, "pixel_shuffle")
    )


def frozen(inner: Any) -> bool:
    return not any(parameter.requires_grad for parameter in inner.vision_tower.parameters())


def shape(inner: Any, seen: Vision) -> tuple[int, int] | None:
    """Of what is kept of a tile, if that can be."""
    width = inner.config.vision_config.hidden_size * round(1 / inner.config.downsample_ratio) ** 2
    return (seen.tokens_per_tile, width) if frozen(inner) else None


def _hasten(tower: Any, compiling: bool, share: Share | None) -> None:
    steps: tuple[Any, ...] = (_asked, _answered)
    if compiling:
        steps = tuple(map(compiled, steps))
    for layer in tower.encoder.layer:
        attn = layer.attention
        parts = [attn.q_proj, attn.k_proj, attn.v_proj]
        attn.joint_weight = in_one(parts, "weight")
        attn.joint_bias = None if parts[0].bias is None else in_one(parts, "bias")
        if share:
            attn.joint_weight = torch.nn.Parameter(attn.joint_weight, requires_grad=False)
            if attn.joint_bias is not None:
                attn.joint_bias = torch.nn.Parameter(attn.joint_bias, requires_grad=False)
            release(parts, "weight", "bias")
        layer.forward = partial(_layer, steps[0], steps[1], layer)


def _layer(asked: Any, answered: Any, layer: Any, hidden: Any) -> Any:
    """(tiles, positions, width) to the same."""
    return answered(layer, hidden, dense(False, *asked(layer, hidden)))


def _asked(layer: Any, hidden: Any) -> tuple[Any, Any, Any]:
    attn = layer.attention
    both = torch.nn.functional.linear(
        layer.layernorm_before(hidden), attn.joint_weight, attn.joint_bias
    )
    query, key, value = both.chunk(3, -1)
    heads = [
        part.unflatten(-1, (attn.num_heads, attn.head_dim))
        for part in (attn.q_norm(query), attn.k_norm(key), value)
    ]
    return heads[0], heads[1], heads[2]


def _answered(layer: Any, hidden: Any, attended: Any) -> Any:
    hidden = hidden + layer.lambda_1 * layer.attention.projection_layer(attended.flatten(2))
    return hidden + layer.lambda_2 * layer.mlp(layer.layernorm_after(hidden))
