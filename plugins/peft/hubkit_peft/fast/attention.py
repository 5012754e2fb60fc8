"""Attention among the tokens of one sample, for many samples in one row, by the fastest kernel that
takes the shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch


@dataclass(frozen=True)
class Spans:
    """Where samples begin and end: `lengths` one after another; `bounds` is the same as int32
    (samples + 1,). When all are as long, attention is that of an ordinary batch."""

    lengths: tuple[int, ...]
    bounds: Any

    @property
    def even(self) -> bool:
        return len(set(self.lengths)) == 1


def within(is_causal: bool, query: Any, key: Any, value: Any, spans: Spans) -> Any:
    """(tokens, heads, head) each, with fewer heads in `key` and `value` where heads are shared."""
    if spans.even:
        batch = [
            part.unflatten(0, (len(spans.lengths), spans.lengths[0]))
            for part in (query, key, value)
        ]
        return dense(is_causal, *batch).flatten(0, 1)
    if query.is_cuda and query.dtype != torch.float32 and _varlen(is_causal) is not None:
        longest = max(spans.lengths)
        return _varlen(is_causal)(query, key, value, spans.bounds, spans.bounds, longest, longest)
    samples = zip(*(part.split(spans.lengths) for part in (query, key, value)), strict=True)
    return torch.cat([dense(is_causal, *(part[None] for part in one))[0] for one in samples])


def dense(is_causal: bool, query: Any, key: Any, value: Any) -> Any:
    """(samples, tokens, heads, head). cuDNN first: on an H200 it takes three fifths of
    FlashAttention 2's time."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    query, key, value = (part.transpose(1, 2) for part in (query, key, value))
    kernels = [
        SDPBackend.CUDNN_ATTENTION,
        SDPBackend.FLASH_ATTENTION,
        SDPBackend.EFFICIENT_ATTENTION,
        SDPBackend.MATH,
    ]
    with sdpa_kernel(kernels, set_priority=True):
        out = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=is_causal, enable_gqa=query.shape[1] != key.shape[1]
        )
    return out.transpose(1, 2)


@cache
def _varlen(is_causal: bool) -> Any:
    """torch's attention over rows of samples (from torch 2.10), None where there is none."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    import inspect

    names = inspect.signature(varlen_attn).parameters
    settings: dict[str, Any] = (
        {"window_size": (-1, 0 if is_causal else -1)}
        if "window_size" in names
        else {"is_causal": is_causal}
    )
    if "enable_gqa" in names:  # torch 2.11 shares heads without being told
        settings["enable_gqa"] = True

    def call(*inputs: Any) -> Any:
        return varlen_attn(*inputs, **settings)

    return call
