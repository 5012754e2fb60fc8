"""The config.json of transformers' own InternVL (`InternVLForConditionalGeneration`, from 4.52;
checked with 5.23)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubkit.sdk import ModuleGroup, Vision
from hubkit.sdk.families import EXPERTS

from . import llm, vit
from .settings import Settings

ARCHITECTURES = ("InternVLForConditionalGeneration",)
_TEXT_KEYS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "hidden_act",
    "max_position_embeddings",
    "rms_norm_eps",
    "initializer_range",
    "attention_dropout",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "head_dim",
)
_EXTRA_TEXT_KEYS: Mapping[str, tuple[str, ...]] = {
    "llama": (),
    "qwen2": ("use_sliding_window", "sliding_window", "max_window_layers"),
    "qwen3": ("use_sliding_window", "sliding_window", "max_window_layers"),
    "qwen3_moe": (
        *("use_sliding_window", "sliding_window", "max_window_layers", "decoder_sparse_step"),
        *("moe_intermediate_size", "num_experts_per_tok", "num_experts", "norm_topk_prob"),
        *("mlp_only_layers", "num_local_experts"),
    ),
    "gpt_oss": (
        *("sliding_window", "num_local_experts", "num_experts_per_tok", "swiglu_limit"),
        *("swiglu_alpha", "layer_types", "experts_per_token"),
    ),
    "phi3": ("sliding_window", "original_max_position_embeddings", "resid_pdrop", "embd_pdrop"),
}
_VISION_KEYS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_channels",
    "hidden_act",
    "layer_norm_eps",
    "attention_dropout",
    "initializer_range",
)


def config(
    official: Mapping[str, Any], vision: Vision, tokens: Mapping[str, int] | None
) -> dict[str, Any]:
    """`tie_word_embeddings` is written at both levels: the outer class ties by default, official
    models mostly do not.

    Raises:
        UsageError: pixel shuffle `v1`, which the native model does not have; or no image token
            among `tokens`.
    """
    top = Settings(official)
    if (version := top.get("ps_version", str, "v1")) != "v2":
        raise top.wrong("ps_version", f"is {version!r}; transformers' InternVL only knows v2")
    tied = llm.tied(official)
    native: dict[str, Any] = {
        "architectures": list(ARCHITECTURES),
        "model_type": "internvl",
        "text_config": {**_text(official), "tie_word_embeddings": tied},
        "vision_config": _vision(official),
        "downsample_ratio": top.get("downsample_ratio", float, 0.5),
        "image_seq_length": vision.tokens_per_tile,
        "projector_hidden_act": "gelu",
        "tie_word_embeddings": tied,
        "vision_feature_layer": top.get("select_layer", int, -1),
        "vision_feature_select_strategy": "default",
    }
    if dtype := official.get("torch_dtype") or official.get("dtype"):
        native["dtype"] = dtype
    if tokens is not None:
        if vision.context not in tokens:
            raise top.wrong("image token", f"{vision.context} is not in the tokenizer's files")
        native["image_token_id"] = tokens[vision.context]
    return native


def _text(official: Mapping[str, Any]) -> dict[str, Any]:
    kind, settings = llm.kind_of(official), Settings(official, "llm_config")
    keys = (*_TEXT_KEYS, *_EXTRA_TEXT_KEYS[kind.model_type])
    text = {key: settings.values[key] for key in keys if key in settings.values}
    text |= {
        "model_type": kind.model_type,
        "num_key_value_heads": llm.heads_of(settings).kv,
        "rope_parameters": _rope(settings),
    }
    if kind.bias_key:
        text["attention_bias"] = settings.get(kind.bias_key, bool, False)
    return text


def _rope(settings: Settings) -> dict[str, Any]:
    """transformers 4's `rope_theta` and `rope_scaling` as transformers 5's `rope_parameters`.

    Phi-3's first releases called their long rope `su`.
    """
    rope = dict(settings.values.get("rope_scaling") or {})
    kind = rope.pop("rope_type", rope.pop("type", "default"))
    rope.pop("type", None)
    return {
        **rope,
        "rope_type": "longrope" if kind == "su" else kind,
        "rope_theta": settings.get("rope_theta", float, 10000.0),
    }


def _vision(official: Mapping[str, Any]) -> dict[str, Any]:
    settings = Settings(official, "vision_config")
    image, patch = settings.square("image_size"), settings.square("patch_size")
    return {
        **{key: settings.values[key] for key in _VISION_KEYS if key in settings.values},
        "model_type": "internvl_vision",
        "image_size": [image, image],
        "patch_size": [patch, patch],
        "attention_bias": settings.get("qkv_bias", bool, False),
        "use_qk_norm": settings.get("qk_normalization", bool, True),
        "norm_type": vit.norm_type(settings),
        "hidden_dropout_prob": settings.get("dropout", float, 0.0),
        "layer_scale_init_value": settings.get("initializer_factor", float, 0.1),
        "use_absolute_position_embeddings": True,
        "use_mask_token": False,
        "use_mean_pooling": True,
    }


def groups(official: Mapping[str, Any]) -> dict[str, ModuleGroup]:
    kind = llm.kind_of(official)
    return {
        "llm": ModuleGroup("model.language_model", kind.linears, EXPERTS if kind.experts else ()),
        "vit": ModuleGroup("model.vision_tower", vit.LINEARS),
        "projector": ModuleGroup("model.multi_modal_projector", ("linear_1", "linear_2")),
    }
