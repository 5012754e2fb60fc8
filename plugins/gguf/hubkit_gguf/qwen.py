"""Qwen2.5-VL's vision tower and merger as llama.cpp's `qwen2.5vl_merger` takes them (tools/mtmd:
`clip.cpp`, `models/qwen2vl.cpp`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hubkit.sdk import Vision

from .tensors import Tensor, frame, refuse_others, third

MODEL_TYPE, PREFIX = "qwen2_5_vl", "model.visual."
_WINDOW = 112
"""Pixels of a window of attention: a constant of llama.cpp's."""
_PARTS = ("attn_q", "attn_k", "attn_v")
_LAYER = {
    "norm1": "ln1",
    "norm2": "ln2",
    "attn.proj": "attn_out",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_MERGER = {"ln_q": "v.post_ln", "mlp.0": "mm.0", "mlp.2": "mm.2"}


def check(config: Mapping[str, Any], vision: Vision) -> None:
    """Raises RefusedError, naming everything that llama.cpp would do otherwise."""
    tower = config["vision_config"]
    every = _every(tower)
    full = [n for n in range(tower["depth"]) if n % every == every - 1]
    wanted = {
        "vision_config.window_size": (tower.get("window_size", _WINDOW), _WINDOW),
        "vision_config.spatial_merge_size": (tower.get("spatial_merge_size", 2), 2),
        "vision_config.temporal_patch_size": (tower.get("temporal_patch_size", 2), 2),
        "vision_config.hidden_act": (tower.get("hidden_act", "silu"), "silu"),
        "vision_config.fullatt_block_indexes": (list(tower["fullatt_block_indexes"]), full),
    }
    refuse_others("qwen2.5vl", wanted)


def metadata(writer: Any, config: Mapping[str, Any], vision: Vision) -> None:
    tower = config["vision_config"]
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("qwen2.5vl_merger")
    writer.add_vision_image_size(560)
    writer.add_vision_patch_size(tower["patch_size"])
    writer.add_vision_embedding_length(tower["hidden_size"])
    writer.add_vision_feed_forward_length(tower["intermediate_size"])
    writer.add_vision_block_count(tower["depth"])
    writer.add_vision_head_count(tower["num_heads"])
    writer.add_vision_projection_dim(tower["out_hidden_size"])
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_use_silu(True)
    writer.add_vision_n_wa_pattern(_every(tower))
    writer.add_vision_image_mean(list(vision.mean))
    writer.add_vision_image_std(list(vision.std))


def _every(tower: Mapping[str, Any]) -> int:
    """Each so many layers, the last of them attends to the whole picture."""
    return int(tower["fullatt_block_indexes"][0]) + 1


def tensors(names: Iterable[str]) -> list[Tensor]:
    """Those of the vision tower and the merger among the native `names`."""
    found = []
    for name in names:
        own = name.removeprefix(PREFIX)
        if own == name:
            continue
        module, _, kind = own.rpartition(".")
        if own == "patch_embed.proj.weight":
            found += [Tensor(f"v.patch_embd.weight{s}", name, frame(n)) for n, s in _FRAMES]
        elif module.startswith("merger.") and module.removeprefix("merger.") in _MERGER:
            found.append(Tensor(f"{_MERGER[module.removeprefix('merger.')]}.{kind}", name))
        elif module.startswith("blocks."):
            number, _, layer = module.removeprefix("blocks.").partition(".")
            if layer == "attn.qkv":
                found += [
                    Tensor(f"v.blk.{number}.{part}.{kind}", name, third(n))
                    for n, part in enumerate(_PARTS)
                ]
            elif layer in _LAYER:
                found.append(Tensor(f"v.blk.{number}.{_LAYER[layer]}.{kind}", name))
    return found


_FRAMES = ((0, ""), (1, ".1"))
"""A still picture is both frames of a patch."""
