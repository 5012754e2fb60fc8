"""The vision transformers of Qwen-VL: rows of patches of all pictures, attention within a picture
or a window of it. transformers' modules attend to one window after another, which for a picture of
6,144 patches is 96 calls a layer."""

from __future__ import annotations

from contextlib import nullcontext
from functools import lru_cache, partial
from typing import Any

import torch

from .attention import Spans, within
from .compiled import compiled

_KINDS = {"qwen2_vl", "qwen2_5_vl", "qwen3_vl"}


def hasten(inner: Any, compiling: bool) -> None:
    """Gives the blocks of a Qwen-VL's vision transformer another forward, and leaves any other
    model as it is."""
    if inner.config.model_type not in _KINDS:
        return
    embed, blocks = inner.visual.patch_embed, inner.visual.blocks
    embed.forward = partial(_embedded, embed.proj)
    frozen = not any(parameter.requires_grad for parameter in blocks.parameters())
    steps: tuple[Any, Any] = (_asked, _answered)
    if compiling and frozen:
        steps = compiled(_asked), compiled(_answered)
    for block in blocks:
        if frozen and hasattr(block.mlp, "gate_proj"):
            _widen(block.mlp)
        block.forward = partial(_forward, steps, frozen, block)


def _widen(mlp: Any) -> None:
    """Rows and columns of 0 up to a multiple of 8, which matrix units need: Qwen2.5-VL's has
    3,420."""
    more, pad = -len(mlp.up_proj.weight) % 8, torch.nn.functional.pad
    for linear in (mlp.gate_proj, mlp.up_proj):
        linear.weight.data = pad(linear.weight.data, (0, 0, 0, more))
        linear.bias.data = pad(linear.bias.data, (0, more))
    mlp.down_proj.weight.data = pad(mlp.down_proj.weight.data, (0, more))


def _embedded(proj: Any, patches: Any) -> Any:
    """A convolution whose stride is its size is a product, and faster as one."""
    return torch.nn.functional.linear(
        patches.to(proj.weight.dtype), proj.weight.flatten(1), proj.bias
    )


def _forward(
    steps: tuple[Any, Any],
    frozen: bool,
    block: Any,
    hidden: Any,
    cu_seqlens: Any,
    position_embeddings: Any,
    **_: Any,
) -> Any:
    """(patches, width) to the same. What is frozen needs no autocast: all of it has one dtype."""
    with torch.autocast(hidden.device.type, enabled=False) if frozen else nullcontext():
        query, key, value = steps[0](block, hidden, *position_embeddings)
        return steps[1](block, hidden, within(False, query, key, value, _spans(cu_seqlens)))


@lru_cache(4)
def _spans(bounds: Any) -> Spans:
    """Of a tensor, which is the same for many blocks: to read it is to wait for the GPU."""
    return Spans(tuple(bounds.diff().tolist()), bounds)


def _asked(block: Any, hidden: Any, cos: Any, sin: Any) -> tuple[Any, Any, Any]:
    """Queries, keys and values (patches, heads, head), rotated."""
    both = block.attn.qkv(block.norm1(hidden)).unflatten(1, (3, block.attn.num_heads, -1))
    query, key, value = both.unbind(1)
    return _rotated(query, cos, sin), _rotated(key, cos, sin), value


def _answered(block: Any, hidden: Any, attended: Any) -> Any:
    hidden = hidden + block.attn.proj(attended.flatten(1))
    return hidden + block.mlp(block.norm2(hidden))


def _rotated(heads: Any, cos: Any, sin: Any) -> Any:
    exact = heads.float()
    first, second = exact.chunk(2, -1)
    turned = exact * cos[:, None].float() + torch.cat((-second, first), -1) * sin[:, None].float()
    return turned.to(heads.dtype)
