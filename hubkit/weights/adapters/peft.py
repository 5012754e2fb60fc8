"""PEFT's adapter folders: adapter_config.json beside adapter_model.safetensors or
adapter_model.bin.

Keys are those that peft 0.21 writes (`base_model.model.MODULE.lora_A.weight`), with or without the
adapter's name.
"""

from __future__ import annotations

from pathlib import Path

from hubkit.sdk.errors import UsageError, WeightsError
from hubkit.sdk.shown import shown

from ...files.outside import inside, read_json
from ..checkpoint import Checkpoint
from ..settings import build, from_peft, plain_names
from ..torchfile import read_torch
from ..unpickle import StoredTensor
from .adapter import Adapter

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


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
        return build(folder.name, source, plain_names(source.tensors), {"": settings})
    except BaseException:
        source.close()
        raise


def _weights(folder: Path) -> Checkpoint:
    return open_weights(folder, "adapter_model", "adapter_model")


def open_weights(folder: Path, stem: str, pickled: str) -> Checkpoint:
    """`stem.safetensors` (or its shards), or else `pickled.bin` of torch.save.

    Raises:
        UsageError: the file of torch.save holds more than tensors.
    """
    if (
        inside(folder, f"{stem}.safetensors").is_file()
        or not inside(folder, f"{pickled}.bin").is_file()
    ):
        return Checkpoint.open(folder, stem)
    file = read_torch(inside(folder, f"{pickled}.bin"))
    if not isinstance(file.data, dict) or not all(
        isinstance(value, StoredTensor) for value in file.data.values()
    ):
        raise UsageError(
            f"{folder}: {pickled}.bin holds more than tensors", "save it as safetensors"
        )
    return file.open(file.data)
