"""InternViT and the projector as llama.cpp's `internvl` takes them (tools/mtmd: `clip.cpp`,
`models/internvl.cpp`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hubkit.sdk import Vision

from .tensors import Tensor, class_last, flat, refuse_others

TOWER, PROJECTOR = "model.vision_tower.", "model.multi_modal_projector."
_LARGE = (3200, 45)
"""Width and layers of InternViT-6B, for which alone llama.cpp takes RMSNorm."""
_WHOLE = {
    f"{TOWER}embeddings.cls_token": ("v.class_embd", flat),
    f"{TOWER}embeddings.position_embeddings": ("v.position_embd.weight", class_last),
    f"{TOWER}embeddings.patch_embeddings.projection.weight": ("v.patch_embd.weight", None),
    f"{TOWER}embeddings.patch_embeddings.projection.bias": ("v.patch_embd.bias", None),
}
_LAYER = {
    "layernorm_before": "ln1",
    "layernorm_after": "ln2",
    "attention.q_proj": "attn_q",
    "attention.k_proj": "attn_k",
    "attention.v_proj": "attn_v",
    "attention.q_norm": "attn_q_norm",
    "attention.k_norm": "attn_k_norm",
    "attention.projection_layer": "attn_out",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
}
_SCALES = {"lambda_1": "ls1.weight", "lambda_2": "ls2.weight"}
_PROJECTOR = {"layer_norm": "0", "linear_1": "1", "linear_2": "3"}


def check(config: Mapping[str, Any], vision: Vision) -> None:
    """Raises RefusedError, naming everything that llama.cpp's `internvl` would do otherwise."""
    tower = config["vision_config"]
    large = (tower["hidden_size"], tower["num_hidden_layers"]) == _LARGE
    wanted = {
        "vision_feature_layer": (config.get("vision_feature_layer", -1), -1),
        "vision_config.norm_type": (tower["norm_type"], "rms_norm" if large else "layer_norm"),
        "vision_config.hidden_act": (tower.get("hidden_act", "gelu"), "gelu"),
        "projector_hidden_act": (config.get("projector_hidden_act", "gelu"), "gelu"),
        "the tokens around a picture": ((vision.start, vision.end), ("<img>", "</img>")),
        "the thumbnail": (vision.thumbnail or vision.max_tiles == 1, True),
        "square tiles": (len(set(_sides(tower["image_size"]))), 1),
    }
    refuse_others("internvl", wanted)


def metadata(writer: Any, config: Mapping[str, Any], vision: Vision) -> None:
    tower = config["vision_config"]
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("internvl")
    writer.add_vision_image_size(_sides(tower["image_size"])[0])
    writer.add_vision_patch_size(_sides(tower["patch_size"])[0])
    writer.add_vision_embedding_length(tower["hidden_size"])
    writer.add_vision_feed_forward_length(tower["intermediate_size"])
    writer.add_vision_block_count(tower["num_hidden_layers"])
    writer.add_vision_head_count(tower["num_attention_heads"])
    writer.add_vision_projection_dim(config["text_config"]["hidden_size"])
    writer.add_vision_attention_layernorm_eps(tower.get("layer_norm_eps", 1e-6))
    writer.add_vision_use_gelu(True)
    writer.add_vision_image_mean(list(vision.mean))
    writer.add_vision_image_std(list(vision.std))
    writer.add_vision_projector_scale_factor(round(1 / config["downsample_ratio"]))
    writer.add_vision_preproc_min_tiles(vision.min_tiles)
    writer.add_vision_preproc_max_tiles(vision.max_tiles)


def tensors(names: Iterable[str]) -> list[Tensor]:
    """Those of the vision tower and the projector among the native `names`."""
    found = []
    for name in names:
        if name in _WHOLE:
            to, arrange = _WHOLE[name]
            found.append(Tensor(to, name, arrange, exact=True))
        elif name.startswith(f"{TOWER}encoder.layer."):
            number, _, rest = name.removeprefix(f"{TOWER}encoder.layer.").partition(".")
            module, _, kind = rest.rpartition(".")
            if rest in _SCALES:
                found.append(Tensor(f"v.blk.{number}.{_SCALES[rest]}", name))
            elif module in _LAYER:
                found.append(Tensor(f"v.blk.{number}.{_LAYER[module]}.{kind}", name))
        elif name.startswith(PROJECTOR):
            module, _, kind = name.removeprefix(PROJECTOR).rpartition(".")
            if module in _PROJECTOR:
                found.append(Tensor(f"mm.model.mlp.{_PROJECTOR[module]}.{kind}", name))
    return found


def _sides(value: Any) -> list[int]:
    return [int(side) for side in value] if isinstance(value, list) else [int(value)]
