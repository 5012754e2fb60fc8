"""config.json of an official InternVL2 folder, its keys as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import PretrainedConfig


class InternLM2Config(PretrainedConfig):
    model_type = "internlm2"

    def __init__(self, **values: Any) -> None:
        defaults = {
            "bias": False,
            "rope_scaling": None,
            "rope_theta": 10000,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": False,
        }
        super().__init__(**{**defaults, **values})


class DecoderConfig(PretrainedConfig):
    """Of Llama, Qwen2 or Qwen3; which, `architectures` says. Values that config.json leaves out are
    those of transformers' classes."""

    model_type = "llama"

    def __init__(self, **values: Any) -> None:
        heads = values.get("num_attention_heads", 32)
        newest = "Qwen3ForCausalLM" in (values.get("architectures") or ())
        defaults = {
            "num_key_value_heads": heads,
            "head_dim": 128 if newest else None,
            "attention_bias": False,
            "rope_scaling": None,
            "rope_theta": 10000.0,
            "max_position_embeddings": 32768 if newest else 2048,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": False,
        }
        super().__init__(
            **{**defaults, **{key: value for key, value in values.items() if value is not None}}
        )


class VisionConfig(PretrainedConfig):
    model_type = "intern_vit_6b"

    def __init__(self, **values: Any) -> None:
        defaults = {
            "num_channels": 3,
            "norm_type": "rms_norm",
            "qkv_bias": True,
            "qk_normalization": False,
            "layer_norm_eps": 1e-6,
        }
        super().__init__(**{**defaults, **values})


class InternVLConfig(PretrainedConfig):
    """Defaults are those of the official configuration class."""

    model_type = "internvl_chat"

    def __init__(
        self,
        vision_config: Mapping[str, Any] | PretrainedConfig | None = None,
        llm_config: Mapping[str, Any] | PretrainedConfig | None = None,
        **values: Any,
    ) -> None:
        self.vision_config = _made(VisionConfig, vision_config)
        architectures = _dict(llm_config).get("architectures") or ["InternLM2ForCausalLM"]
        self.llm_config = _made(_language_config(architectures[0]), llm_config)
        defaults: dict[str, Any] = {
            "downsample_ratio": 0.5,
            "select_layer": -1,
            "ps_version": "v1",
            "force_image_size": None,
        }
        defaults |= {
            "min_dynamic_patch": 1,
            "max_dynamic_patch": 6,
            "use_thumbnail": False,
            "tie_word_embeddings": False,
        }
        super().__init__(**{**defaults, **values})
        side: Any = values.get("force_image_size") or getattr(
            self.vision_config, "image_size", None
        )
        self.force_image_size = side


def _language_config(architecture: str) -> Any:
    if architecture == "Phi3ForCausalLM":
        from transformers import Phi3Config  # since 4.41

        return Phi3Config
    return InternLM2Config if architecture == "InternLM2ForCausalLM" else DecoderConfig


def _dict(values: Mapping[str, Any] | PretrainedConfig | None) -> dict[str, Any]:
    return values.to_dict() if isinstance(values, PretrainedConfig) else dict(values or {})


def _made(
    kind: type[PretrainedConfig], values: Mapping[str, Any] | PretrainedConfig | None
) -> PretrainedConfig:
    return values if isinstance(values, kind) else kind(**_dict(values))
