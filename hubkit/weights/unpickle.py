"""The restricted unpickler, which is the SDK's."""

from hubkit.sdk.checkpoints.unpickle import STORAGES, Storage, StoredTensor, unpickle

__all__ = ["STORAGES", "Storage", "StoredTensor", "unpickle"]
