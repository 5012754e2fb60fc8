"""PEFT's adapter folders: adapter_config.json beside adapter_model.safetensors or
adapter_model.bin, and what was trained whole beside them.

Keys are those that peft 0.21 writes (`base_model.model.MODULE.lora_A.weight`), with or without the
adapter's name.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hubkit.sdk.errors import WeightsError
from hubkit.sdk.excerpt import shown

from ...files.outside import inside, read_json
from ..checkpoint import Checkpoint
from ..settings import build, from_peft
from .adapter import Adapter
from .extra_weights import with_trained_whole
from .names import SETTINGS, plain_names
from .opening import open_weights


def is_peft(path: Path) -> bool:
    return (path / SETTINGS).exists()


def read_peft(folder: Path) -> Adapter:
    """The adapter in a PEFT folder; its `source` is to be closed.

    Raises:
        UsageError: a file is missing.
        WeightsError: a setting or key that hubkit cannot merge, by name; a rank of 0; A without B.
    """
    config = read_json(folder, "adapter_config.json")
    if config.get("peft_type") != "LORA":
        raise WeightsError(
            f"adapter_config.json: peft_type is {shown(config.get('peft_type'))}, not 'LORA'",
            "merge it with peft itself",
        )
    settings = from_peft(config, "adapter_config.json")
    source = _weights(folder)
    try:
        source = with_trained_whole(folder, source)
        names = plain_names(source.tensors, nested=bool(settings.parameters))
        adapter = build(folder.name, source, names, {"": settings})
    except BaseException:
        source.close()
        raise
    base = config.get("base_model_name_or_path")
    return replace(adapter, base=base if isinstance(base, str) else "")


def _weights(folder: Path) -> Checkpoint:
    """The adapter's own file, or that of the whole wrapped model, as DeepSpeed's zero_to_fp32.py
    and `save_model` of accelerate write it."""
    ends = (".safetensors", ".safetensors.index.json", ".bin")
    own = any(inside(folder, f"adapter_model{end}").is_file() for end in ends)
    whole = any(
        inside(folder, name).is_file()
        for name in ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
    )
    if whole and not own:
        return open_weights(folder, "model", "pytorch_model")
    return open_weights(folder, "adapter_model", "adapter_model")
