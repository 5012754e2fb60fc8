"""Attention, by torch's own kernels or written out."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def attend(query: Tensor, key: Tensor, value: Tensor, *, causal: bool, eager: bool) -> Tensor:
    """All are (batch, heads, length, head size). `eager` keeps the whole matrix of weights in
    memory, as the models' own code does where flash-attn is not installed; it is there to compare
    with."""
    if not eager:
        return functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
    scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
    if causal:
        length = scores.shape[-1]
        ahead = torch.ones(length, length, dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(ahead, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1, dtype=torch.float32).to(value.dtype) @ value
