"""Rotary positions."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

Rope = tuple[Tensor, Tensor]


def head_size(config: Any) -> int:
    own: int | None = getattr(config, "head_dim", None)
    return own or config.hidden_size // config.num_attention_heads


def rope(config: Any, length: int, device: torch.device) -> Rope:
    """cos and sin, float32 (length, head size), for positions 0 ... length - 1.

    `dynamic` scaling changes the base only beyond max_position_embeddings, `linear` divides
    positions.
    """
    size, base, scaling = head_size(config), float(config.rope_theta), config.rope_scaling or {}
    kind, factor, limit = (
        scaling.get("rope_type", scaling.get("type")),
        float(scaling.get("factor", 1.0)),
        config.max_position_embeddings,
    )
    if kind == "dynamic" and length > limit:
        base *= (factor * length / limit - (factor - 1)) ** (size / (size - 2))
    positions = torch.arange(length, device=device, dtype=torch.float32) / (
        factor if kind == "linear" else 1.0
    )
    frequencies = base ** (-torch.arange(0, size, 2, device=device, dtype=torch.float32) / size)
    angles = torch.outer(positions, frequencies).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate(states: Tensor, turn: Rope) -> Tensor:
    """`states` is (batch, heads, length, head size); halves of a head are a pair."""
    cos, sin = (part.to(states.dtype) for part in turn)
    left, right = states.chunk(2, dim=-1)
    return states * cos + torch.cat([-right, left], dim=-1) * sin
