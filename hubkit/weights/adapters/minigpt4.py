"""What MiniGPT-4's own training writes and its authors publish: a file of torch.save with the
projection alone, `model: {llama_proj.weight, llama_proj.bias}` (Vision-CAIR/MiniGPT-4 at d94738a,
minigpt4/runners/runner_base.py, _save_checkpoint)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hubkit.sdk.errors import HubkitError, WeightsError
from hubkit.sdk.excerpt import shown

from ..torchfile import read_torch
from ..unpickle import StoredTensor
from .adapter import Adapter, Replacement

_WEIGHT, _BIAS = "llama_proj.weight", "llama_proj.bias"
_WITHOUT_QFORMER = 5632
"""Four of the vision transformer's 1,408 numbers side by side: with Llama 2, and in MiniGPT-v2."""
_REMEDY = (
    "give the checkpoint of MiniGPT-4 with Vicuna; the others cannot be models of transformers: "
    "ask them with MiniGPT-4's own code"
)


def is_minigpt4(path: Path) -> bool:
    if not path.is_file() or path.suffix != ".pth":
        return False
    try:
        return _WEIGHT in _state(read_torch(path).data)
    except (HubkitError, OSError):
        return False  # the next format says what is wrong with it


def read_minigpt4(path: Path) -> Adapter:
    """The projection as replacements of tensors of its own names; `source` is to be closed.

    Raises:
        WeightsError: there is more than the projection, or it is not that of a Q-Former.
    """
    file = read_torch(path)
    state = _state(file.data)
    if more := sorted(str(key) for key in state if key not in (_WEIGHT, _BIAS)):
        raise WeightsError(
            f"{path.name} trains more than the projection: {shown(more[0])} is MiniGPT-v2's, or of "
            "a changed MiniGPT-4",
            _REMEDY,
        )
    if not all(isinstance(one, StoredTensor) for one in state.values()) or _BIAS not in state:
        raise WeightsError(
            f"{path.name} lacks {_BIAS}, or its values are no tensors", "download the file again"
        )
    source = file.open(state)
    if source.tensors[_WEIGHT].shape[1:] == (_WITHOUT_QFORMER,):
        source.close()
        raise WeightsError(
            f"{path.name}: {_WEIGHT} takes {_WITHOUT_QFORMER:,} numbers: this MiniGPT-4 (Llama 2) "
            "or MiniGPT-v2 has no Q-Former",
            _REMEDY,
        )
    replaced = tuple(Replacement(name, name) for name in (_WEIGHT, _BIAS))
    return Adapter(path.name, source, (), replaced)


def _state(data: Any) -> dict[Any, Any]:
    state = data.get("model") if isinstance(data, dict) else None
    return state if isinstance(state, dict) else {}
