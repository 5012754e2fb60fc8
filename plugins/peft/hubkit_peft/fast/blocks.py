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


class Tower:
    """Gives patches and blocks of a Qwen-VL's vision transformer another forward. Features are what
    the blocks that are read behind make of a patch, side by side; while some are `given`, no block
    is asked."""

    def __init__(self, inner: Any, compiling: bool) -> None:
        self._visual, self._read = inner.visual, _read(inner.visual)
        self._frozen = frozen(inner)
        self.given: Any = None
        self._taken: list[Any] | None = None
        self._steps: tuple[Any, Any] = (_asked, _answered)
        if compiling and self._frozen:
            self._steps = compiled(_asked), compiled(_answered)
        inner.visual.forward = partial(self._whole, inner.visual.forward)
        embed = inner.visual.patch_embed
        embed.forward = partial(self._embedded, embed.proj)
        for number, block in enumerate(inner.visual.blocks):
            if self._frozen and hasattr(block.mlp, "gate_proj"):
                _widen(block.mlp)
            block.forward = partial(self._forward, number, block)

    def features(self, pixels: Any, grids: Any) -> Any:
        """(patches, numbers) of pictures, whose patches are pixels and `grids` their numbers."""
        self.given, self._taken = None, []
        with torch.no_grad():
            self._visual(pixels, grid_thw=grids)
        taken, self._taken = self._taken, None
        return torch.cat(taken, 1)

    def _whole(self, forward: Any, pixels: Any, grid_thw: Any, **more: Any) -> Any:
        """transformers' own forward; what it would make of `grid_thw`, which is on the host, is
        made there, since on a GPU each number that it reads is a wait."""
        return forward(
            pixels, grid_thw=grid_thw, **_arranged(self._visual, grid_thw, pixels.device), **more
        )

    def _embedded(self, proj: Any, patches: Any) -> Any:
        """A convolution whose stride is its size is a product, and faster as one."""
        if self.given is not None:
            return self.given[:, : proj.out_channels]
        return torch.nn.functional.linear(
            patches.to(proj.weight.dtype), proj.weight.flatten(1), proj.bias
        )

    def _forward(
        self,
        number: int,
        block: Any,
        hidden: Any,
        cu_seqlens: Any,
        position_embeddings: Any,
        **_: Any,
    ) -> Any:
        """(patches, width) to the same. What is frozen needs no autocast: all of it has one
        dtype."""
        if self.given is not None:
            if number not in self._read:
                return hidden
            return self.given.chunk(len(self._read), 1)[self._read.index(number)].contiguous()
        with torch.autocast(hidden.device.type, enabled=False) if self._frozen else nullcontext():
            query, key, value = self._steps[0](block, hidden, *position_embeddings)
            attended = within(False, query, key, value, _spans(cu_seqlens, hidden.device))
            hidden = self._steps[1](block, hidden, attended)
        if self._taken is not None and number in self._read:
            self._taken.append(hidden)
        return hidden


def known(inner: Any) -> bool:
    return inner.config.model_type in _KINDS


def frozen(inner: Any) -> bool:
    return not any(parameter.requires_grad for parameter in inner.visual.blocks.parameters())


def shape(inner: Any) -> tuple[int, int] | None:
    """Of what is kept of a patch, if that can be."""
    if not known(inner) or not frozen(inner):
        return None
    width: int = inner.visual.patch_embed.proj.out_channels
    return 1, len(_read(inner.visual)) * width


def _read(visual: Any) -> list[int]:
    """The blocks behind which the language model reads: the last, and in Qwen3-VL others."""
    return sorted({*getattr(visual, "deepstack_visual_indexes", ()), len(visual.blocks) - 1})


def _widen(mlp: Any) -> None:
    """Rows and columns of 0 up to a multiple of 8, which matrix units need: Qwen2.5-VL's has
    3,420."""
    more, pad = -len(mlp.up_proj.weight) % 8, torch.nn.functional.pad
    for linear in (mlp.gate_proj, mlp.up_proj):
        linear.weight.data = pad(linear.weight.data, (0, 0, 0, more))
        linear.bias.data = pad(linear.bias.data, (0, more))
    mlp.down_proj.weight.data = pad(mlp.down_proj.weight.data, (0, more))


def _arranged(visual: Any, grids: Any, device: Any) -> dict[str, Any]:
    """Positions, order and limits of patches; limits stay on the host."""
    from transformers import vision_utils as made

    merged = visual.spatial_merge_size
    found = {"position_ids": made.get_vision_position_ids(grids, merged)}
    limits = {"cu_seqlens": made.get_vision_cu_seqlens(grids)}
    if hasattr(visual, "window_size"):
        found["window_index"], limits["cu_window_seqlens"] = made.get_vision_window_index(
            grids, merged, visual.window_size, visual.patch_size
        )
    if hasattr(visual, "num_grid_per_side"):
        way = visual.interpolation_mode, visual.interpolation_align_corners, merged
        names = "interp_indices", "interp_weights"
        resampled = made.get_vision_interpolation_indices_and_weights(
            grids, visual.num_grid_per_side, *way
        )
        found |= zip(names, resampled, strict=True)
    if device.type == "cuda":
        found = {name: tensor.pin_memory() for name, tensor in found.items()}
    return limits | {name: tensor.to(device, non_blocking=True) for name, tensor in found.items()}


@lru_cache(4)
def _spans(bounds: Any, device: Any) -> Spans:
    """Of a tensor that is the same for many blocks."""
    return Spans(tuple(bounds.diff().tolist()), bounds.to(device))


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
