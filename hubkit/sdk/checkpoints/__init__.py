"""Weights on disk, read and written without torch and without running anything: safetensors, and
what torch.save wrote.

A pickle is read by an unpickler that knows a list of names and runs none of them; tensors are read
where they lie.
"""

from .header import TensorInfo
from .weights import NewTensor, Weights, open_weights, write_safetensors

__all__ = ["NewTensor", "TensorInfo", "Weights", "open_weights", "write_safetensors"]
