"""Weights of a training, in safetensors or as torch.save wrote them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hubkit.sdk.errors import UsageError

from ...files.outside import inside
from ..checkpoint import Checkpoint
from ..torchfile import read_torch
from ..unpickle import StoredTensor


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


def renamed(source: Checkpoint, part: str) -> Checkpoint:
    """The same open files under names that tell the parts' files apart."""
    shards = []
    for shard in source.shards.values():
        name = f"{part}/{shard.name}"
        tensors = tuple(replace(tensor, shard=name) for tensor in shard.header.tensors)
        shards.append(replace(shard, name=name, header=replace(shard.header, tensors=tensors)))
    return Checkpoint(source.folder, tuple(shards), None)
