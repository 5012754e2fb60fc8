"""Files that torch.save wrote, as a source to read tensors from. The SDK knows the format."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hubkit.sdk.checkpoints import torchfile
from hubkit.sdk.checkpoints.unpickle import StoredTensor
from hubkit.sdk.files import open_descriptor

from .checkpoint import Checkpoint, Shard, file_state
from .header import Header


class TorchFile(torchfile.TorchFile):
    def open(self, tensors: Mapping[str, StoredTensor]) -> Checkpoint:
        """`tensors` of this file as a source to read from, by the names given.

        Raises:
            WeightsError: a tensor lies outside its record, or not row by row.
        """
        infos = tuple(self.info(name, tensor) for name, tensor in tensors.items())
        descriptor = open_descriptor(self.path)
        found = os.fstat(descriptor)
        shard = Shard(
            self.path.name,
            self.path,
            found.st_size,
            Header(b"", infos, {}),
            descriptor,
            file_state(found),
        )
        return Checkpoint(self.path.parent, (shard,), None)


def read_torch(path: Path) -> TorchFile:
    """Raises WeightsError when `path` is not such a file or holds an object that hubkit does not
    know."""
    found = torchfile.read_torch(path)
    return TorchFile(found.data, found.path, found.records)
