"""XTuner's LLaVA: the names in its checkpoints, and the folders that its `pth_to_hf` makes of one.

xtuner 0.2.0's LLaVAModel has `llm`, `visual_encoder` and `projector` (its linears are `model.0` and
`model.2`); `pth_to_hf` writes each apart: `llm_adapter/` and `visual_encoder_adapter/` by peft,
`projector/` as a model of its own.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hubkit.sdk.errors import WeightsError

from ..checkpoint import Checkpoint
from .adapter import Adapter, Replacement
from .opening import open_weights, renamed
from .peft import read_peft

_OFFICIAL = (
    ("llm.", "language_model."),
    ("visual_encoder.", "vision_tower."),
    ("projector.model.0.", "multi_modal_projector.linear_1."),
    ("projector.model.2.", "multi_modal_projector.linear_2."),
)
_PARTS = {"llm_adapter": "language_model.", "visual_encoder_adapter": "vision_tower."}
_WHOLE = ("llm", "visual_encoder")
"""What `pth_to_hf` writes instead when a part was trained whole."""


def official(name: str) -> str:
    """xtuner's name of a tensor or module as llava-hf names it; any other name as it is."""
    return next((new + name[len(old) :] for old, new in _OFFICIAL if name.startswith(old)), name)


def is_llava(folder: Path) -> bool:
    return any((folder / part).is_dir() for part in (*_PARTS, "projector"))


def read_llava(folder: Path) -> Adapter:
    """One adapter of the parts that are there; its `source` is to be closed.

    Raises:
        WeightsError: a part does not hold together, or a whole model lies where an adapter is
            expected.
    """
    if whole := [name for name in _WHOLE if (folder / name).is_dir()]:
        raise WeightsError(
            f"{folder.name}: {whole[0]}/ holds a part that was trained whole",
            "assemble a base with that folder, then merge the rest",
        )
    adapters = [
        _below(read_peft(folder / part), prefix, part)
        for part, prefix in _PARTS.items()
        if (folder / part).is_dir()
    ]
    if (folder / "projector").is_dir():
        adapters.append(_projector(folder / "projector"))
    source = Checkpoint(
        folder, tuple(shard for one in adapters for shard in one.source.shards.values()), None
    )
    return Adapter(
        folder.name,
        source,
        tuple(lora for one in adapters for lora in one.loras),
        tuple(replacement for one in adapters for replacement in one.replacements),
        any(one.tying for one in adapters),
    )


def _below(adapter: Adapter, prefix: str, part: str) -> Adapter:
    loras = tuple(replace(lora, module=prefix + lora.module) for lora in adapter.loras)
    given = tuple(replace(one, tensor=prefix + one.tensor) for one in adapter.replacements)
    return replace(adapter, source=renamed(adapter.source, part), loras=loras, replacements=given)


def _projector(folder: Path) -> Adapter:
    source = open_weights(folder, "model", "pytorch_model")
    given = tuple(Replacement(official(f"projector.{key}"), key) for key in source.tensors)
    return Adapter(folder.name, renamed(source, folder.name), (), given)
