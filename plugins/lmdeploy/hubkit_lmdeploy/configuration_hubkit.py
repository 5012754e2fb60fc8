"""InternVL's configuration for transformers, in the place of the classes that come with a model
folder.

LMDeploy has InternVL's model code itself and needs of transformers only this. It is copied into a
view of the folder, so that every process that LMDeploy starts finds it. The defaults are what
OpenGVLab's classes assume where config.json says nothing.
"""

from __future__ import annotations

from typing import Any

from transformers import PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING


class InternLM2Config(PretrainedConfig):
    model_type = "internlm2"

    def __init__(
        self, rope_theta: float = 10000, rope_scaling: Any = None, **settings: Any
    ) -> None:
        self.rope_theta, self.rope_scaling = rope_theta, rope_scaling
        usual = {
            "hidden_act": "silu",
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-6,
            "bias": True,
        }
        super().__init__(**{"tie_word_embeddings": False, **usual, **settings})


class InternVitConfig(PretrainedConfig):
    model_type = "intern_vit_6b"

    def __init__(self, **settings: Any) -> None:
        norms = {"norm_type": "rms_norm", "layer_norm_eps": 1e-6, "qk_normalization": True}
        super().__init__(
            **{"num_channels": 3, "hidden_act": "gelu", "qkv_bias": False, **norms, **settings}
        )


class InternVLChatConfig(PretrainedConfig):
    model_type = "internvl_chat"

    def __init__(self, vision_config: Any = None, llm_config: Any = None, **settings: Any) -> None:
        self.vision_config = InternVitConfig(**dict(vision_config or {}))
        language = dict(llm_config or {})
        kind = language.pop("model_type", InternLM2Config.model_type)
        self.llm_config = (
            InternLM2Config if kind == InternLM2Config.model_type else CONFIG_MAPPING[kind]
        )(**language)
        tiles = {
            "dynamic_image_size": False,
            "use_thumbnail": False,
            "min_dynamic_patch": 1,
            "max_dynamic_patch": 6,
        }
        usual = {
            "select_layer": -1,
            "force_image_size": None,
            "downsample_ratio": 0.5,
            "template": None,
            "ps_version": "v1",
        }
        super().__init__(**{**tiles, **usual, **settings})

    def get_text_config(self, *_: Any, **__: Any) -> Any:
        return self.llm_config
