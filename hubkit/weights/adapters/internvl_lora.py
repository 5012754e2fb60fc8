"""InternVL's own LoRA checkpoints: a whole model folder whose linear layers are still wrapped by
peft.

Its training code writes the rank into config.json (`use_llm_lora`, `use_backbone_lora`) and trains
with an alpha of twice the rank. Source: `wrap_llm_lora` and `wrap_backbone_lora` in InternVL's
internvl_chat, called by internvl_chat_finetune.py.
"""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.errors import WeightsError

from ...files.outside import read_config
from ..settings import Settings, build
from .adapter import Adapter
from .names import plain_names
from .opening import open_weights

_RANKS = {"use_llm_lora": "language_model.", "use_backbone_lora": "vision_model."}


def is_internvl(path: Path) -> bool:
    return (path / "config.json").exists()


def read_internvl(folder: Path) -> Adapter:
    """The adapter, with every weight of the model as a replacement; its `source` is to be
    closed."""
    config = read_config(folder)
    settings = {
        prefix: Settings(config[key], 2 * config[key])
        for key, prefix in _RANKS.items()
        if type(config.get(key)) is int and config[key] > 0
    }
    if not settings:
        raise WeightsError(
            f"{folder.name}: config.json names no LoRA (use_llm_lora, use_backbone_lora)",
            "give the folder of an adapter; a LoRA that peft made needs its adapter_config.json",
        )
    source = open_weights(folder, "model", "pytorch_model")
    try:
        return build(folder.name, source, plain_names(source.tensors), settings)
    except BaseException:
        source.close()
        raise
