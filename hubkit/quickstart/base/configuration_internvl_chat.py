# Copyright the hubkit authors. Licensed under the Apache License, Version 2.0.
"""The whole model's configuration; the keys are those of the official InternVL2."""

from transformers import PretrainedConfig

from .configuration_intern_vit import InternVisionConfig
from .configuration_internlm2 import InternLM2Config


class InternVLChatConfig(PretrainedConfig):
    model_type = "internvl_chat"
    sub_configs = {"vision_config": InternVisionConfig, "llm_config": InternLM2Config}

    def __init__(
        self,
        vision_config=None,
        llm_config=None,
        template="internlm2-chat",
        downsample_ratio=0.5,
        dynamic_image_size=True,
        force_image_size=56,
        min_dynamic_patch=1,
        max_dynamic_patch=4,
        use_thumbnail=True,
        pad2square=False,
        ps_version="v2",
        select_layer=-1,
        tie_word_embeddings=False,
        **kwargs,
    ):
        self.vision_config = _as(InternVisionConfig, vision_config)
        self.llm_config = _as(InternLM2Config, llm_config)
        self.template = template
        self.downsample_ratio = downsample_ratio
        self.dynamic_image_size = dynamic_image_size
        self.force_image_size = force_image_size
        self.min_dynamic_patch = min_dynamic_patch
        self.max_dynamic_patch = max_dynamic_patch
        self.use_thumbnail = use_thumbnail
        self.pad2square = pad2square
        self.ps_version = ps_version
        self.select_layer = select_layer
        super().__init__(tie_word_embeddings=tie_word_embeddings, **kwargs)

    def get_text_config(self, *args, **kwargs):
        return self.llm_config


def _as(kind, value):
    return value if isinstance(value, kind) else kind(**(value or {}))
