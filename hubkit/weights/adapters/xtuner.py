"""XTuner's checkpoints of the mmengine line: `iter_N.pth`, a file, or with DeepSpeed a folder of
that name.

Keys as xtuner 0.2.0 writes them:
`model.language_model.base_model.model.model.layers.0.attention.wqkv.lora_A.default.weight`,
`model.mlp1.0.weight`. Rank and alpha stand in `meta['cfg']`, the training configuration as Python
text, which is parsed and never run.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from hubkit.sdk.errors import WeightsError
from hubkit.sdk.shown import shown

from ...files.outside import inside
from ..settings import Settings, build, from_peft, plain_names
from ..torchfile import read_torch
from ..unpickle import StoredTensor
from .adapter import Adapter
from .xtuner_llava import official

DEEPSPEED = "mp_rank_00_model_states.pt"

_LORAS = {
    "llm_lora": ("language_model.",),
    "visual_encoder_lora": ("vision_model.", "vision_tower."),
}
"""Settings of xtuner's InternVL_V1_5 and LLaVAModel and what they apply to."""

_MAX_TEXT = 1 << 20
_REMEDY = "give the iter_N.pth that xtuner's training wrote, unchanged"


def is_xtuner(path: Path) -> bool:
    return path.is_file() or (path / DEEPSPEED).exists()


def read_xtuner(path: Path) -> Adapter:
    """The adapter in an `iter_N.pth` file or folder; its `source` is to be closed.

    Raises:
        WeightsError: no such checkpoint, an object in it that hubkit does not know, no tensors, or
            no rank and alpha.
    """
    file = read_torch(_file(path))
    data = file.data if isinstance(file.data, dict) else {}
    state = data.get("module") if path.is_dir() else data.get("state_dict")
    if not isinstance(state, dict):
        raise WeightsError(
            f"{path.name} has no {'module' if path.is_dir() else 'state_dict'}", _REMEDY
        )
    odd = [
        shown(key)
        for key, value in state.items()
        if not isinstance(key, str) or not isinstance(value, StoredTensor)
    ]
    if odd:
        raise WeightsError(f"{path.name}: {odd[0]} is not a tensor", _REMEDY)
    if not state:
        raise WeightsError(f"{path.name} holds no tensors", "train again; nothing was saved")
    names = plain_names(state)
    names = {key: official(plain.removeprefix("model.")) for key, plain in names.items()}
    meta = data.get("meta")
    settings = lora_settings(meta.get("cfg") if isinstance(meta, dict) else None, path.name)
    source = file.open(state)
    try:
        return build(path.name, source, names, settings)
    except BaseException:
        source.close()
        raise


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    others = sorted(
        found.name for found in path.glob("mp_rank_*_model_states.pt") if found.name != DEEPSPEED
    )
    zero3 = sorted(found.name for found in path.glob("zero_pp_rank_*_model_states.pt"))
    if others or zero3:
        raise WeightsError(
            f"{path.name} is split over several files ({(others + zero3)[0]})",
            "join them with DeepSpeed's zero_to_fp32.py",
        )
    return inside(path, DEEPSPEED)


def lora_settings(text: Any, where: str) -> dict[str, Settings]:
    """Rank and alpha by prefix of the module's name, from the `model = dict(...)` of a
    configuration's text.

    Raises:
        WeightsError: the text is not there or cannot be read.
    """
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        raise WeightsError(f"{where}: meta['cfg'] is missing, which holds rank and alpha", _REMEDY)
    try:
        tree = ast.parse(text)
        found = [
            _literal(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and _names(node) == ["model"]
        ]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise WeightsError(
            f"{where}: meta['cfg'] is not a configuration ({str(error)[:200]})", _REMEDY
        ) from None
    model = found[-1] if found else None
    if not isinstance(model, dict):
        raise WeightsError(f"{where}: meta['cfg'] has no `model = dict(...)`", _REMEDY)
    settings: dict[str, Settings] = {}
    for key, prefixes in _LORAS.items():
        if isinstance(model.get(key), dict):
            lora = {name: value for name, value in model[key].items() if name != "type"}
            found_lora = from_peft(
                {"r": 8, "lora_alpha": 8, **lora}, f"{where}: meta['cfg'] model.{key}"
            )
            settings |= dict.fromkeys(prefixes, found_lora)
    return settings


def _names(node: ast.Assign) -> list[str]:
    return [target.id for target in node.targets if isinstance(target, ast.Name)]


def _literal(node: ast.expr) -> Any:
    """Constants, lists, tuples and `dict(...)` as values; anything else as its text."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Call(ast.Name("dict"), [], keywords):
            return {str(keyword.arg): _literal(keyword.value) for keyword in keywords}
        case ast.Dict(keys, values) if all(key is not None for key in keys):
            return {
                str(_literal(key)): _literal(value)
                for key, value in zip(keys, values, strict=True)
                if key is not None
            }
        case ast.List(items) | ast.Tuple(items):
            return [_literal(item) for item in items]
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)):
            return -value
        case _:
            return ast.unparse(node)
