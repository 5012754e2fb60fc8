"""Which Python files of a model folder would be run, and configuration classes that make it unnecessary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hubkit.sdk import UsageError

KNOWN = ("internvl_chat",)
"""`model_type`s that `register` knows; LMDeploy has their model code itself and needs of transformers only a configuration."""

_INTERNLM2 = {
    "hidden_act": "silu", "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "bias": True, "tie_word_embeddings": False,
}  # fmt: skip
_INTERN_VIT = {
    "num_channels": 3, "hidden_act": "gelu", "norm_type": "rms_norm", "layer_norm_eps": 1e-6, "qkv_bias": False,
    "qk_normalization": True,
}  # fmt: skip
_CHAT = {
    "select_layer": -1, "force_image_size": None, "downsample_ratio": 0.5, "template": None, "dynamic_image_size": False,
    "use_thumbnail": False, "ps_version": "v1", "min_dynamic_patch": 1, "max_dynamic_patch": 6,
}  # fmt: skip
"""What OpenGVLab's configuration classes assume where config.json says nothing."""


def check_code(folder: Path, allowed: bool) -> None:
    """Raises UsageError when the folder cannot be loaded without its own Python files and they are not allowed."""
    if allowed:
        return
    config, tokenizer = (_read(folder / name) for name in ("config.json", "tokenizer_config.json"))
    needed = []
    if "AutoConfig" in config.get("auto_map", {}) and config.get("model_type") not in KNOWN:
        needed.append(f"config.json: auto_map.AutoConfig names {config['auto_map']['AutoConfig']}")
    if "AutoTokenizer" in tokenizer.get("auto_map", {}):
        needed.append(f"tokenizer_config.json: auto_map.AutoTokenizer names {tokenizer['auto_map']['AutoTokenizer']}")
    elif not (folder / "tokenizer.json").is_file():
        needed.append("there is no tokenizer.json")
    if needed:
        raise UsageError(
            f"{folder.name} can be loaded only by running Python files of its own: {'; '.join(needed)}",
            "read those files, then set the option allow_remote_code: true; or give the model a tokenizer.json "
            "(`hubkit convert` makes one) and take AutoTokenizer out of auto_map",
        )


def register() -> None:
    """Makes InternVL's configuration known to transformers in this process, so that no code of a folder is asked for."""
    from transformers import AutoConfig, PretrainedConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    class InternLM2Config(PretrainedConfig):
        model_type = "internlm2"

        def __init__(self, rope_theta: float = 10000, rope_scaling: Any = None, **settings: Any) -> None:
            self.rope_theta, self.rope_scaling = rope_theta, rope_scaling
            super().__init__(**{**_INTERNLM2, **settings})

    class InternVitConfig(PretrainedConfig):
        model_type = "intern_vit_6b"

        def __init__(self, **settings: Any) -> None:
            super().__init__(**{**_INTERN_VIT, **settings})

    class InternVLChatConfig(PretrainedConfig):
        model_type = "internvl_chat"

        def __init__(self, vision_config: Any = None, llm_config: Any = None, **settings: Any) -> None:
            self.vision_config = InternVitConfig(**dict(vision_config or {}))
            language = dict(llm_config or {})
            kind = language.pop("model_type", InternLM2Config.model_type)
            self.llm_config = (InternLM2Config if kind == InternLM2Config.model_type else CONFIG_MAPPING[kind])(**language)
            super().__init__(**{**_CHAT, **settings})

        def get_text_config(self, *_: Any, **__: Any) -> Any:
            return self.llm_config

    for kind in (InternLM2Config, InternVitConfig, InternVLChatConfig):
        AutoConfig.register(kind.model_type, kind, exist_ok=True)


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}
