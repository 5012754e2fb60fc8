"""Weights on disk, read and written without torch and without running anything: safetensors, and
what torch.save wrote.

A pickle is read by an unpickler that knows a list of names and runs none of them; tensors are read
where they lie.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazily

if TYPE_CHECKING:
    from .header import TensorInfo
    from .weights import NewTensor, Weights, open_weights, write_safetensors

_HOMES = {
    "header": "TensorInfo",
    "weights": "NewTensor Weights open_weights write_safetensors",
}
"""Where each name is: a module is imported when it is first asked for."""

__all__ = ["NewTensor", "TensorInfo", "Weights", "open_weights", "write_safetensors"]


if not TYPE_CHECKING:
    __getattr__ = lazily(__name__, _HOMES)
