"""XTuner's checkpoints of the mmengine line: `iter_N.pth`, a file, or with DeepSpeed a folder of
that name.

Keys as xtuner 0.2.0 writes them:
`model.language_model.base_model.model.model.layers.0.attention.wqkv.lora_A.default.weight`,
`model.mlp1.0.weight`. Rank and alpha stand in `meta['cfg']`, the training configuration as Python
text, which is parsed and never run.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from hubkit.sdk.errors import WeightsError
from hubkit.sdk.excerpt import shown

from ...files.outside import inside
from ..checkpoint import Checkpoint
from ..settings import Settings, build, from_peft
from ..torchfile import read_torch
from ..unpickle import StoredTensor
from . import zero3
from .adapter import Adapter
from .names import plain_names
from .opening import open_weights
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
    return (
        path.is_file()
        or (path / DEEPSPEED).exists()
        or any(path.glob(zero3.MODELS))
        or (_is_joined(path) and not (path / "config.json").exists())
    )


def read_xtuner(path: Path) -> Adapter:
    """The adapter in an `iter_N.pth` file or folder (under ZeRO-3, too), or in what DeepSpeed's
    zero_to_fp32.py makes of one, with the training's configuration (.py) beside it; its `source` is
    to be closed.

    Raises:
        WeightsError: no such checkpoint, an object in it that hubkit does not know, no tensors, or
            no rank and alpha.
    """
    if path.is_dir() and any(path.glob(zero3.MODELS)):
        source, saved = zero3.read_zero3(path)
        meta = saved.get("meta")
    elif path.is_dir() and _is_joined(path):
        source, meta = open_weights(path, "model", "pytorch_model"), None
    else:
        source, meta = _open(path)
    try:
        names = {
            key: official(plain.removeprefix("model."))
            for key, plain in plain_names(source.tensors).items()
        }
        text = meta.get("cfg") if isinstance(meta, dict) else _configuration(path)
        return build(path.name, source, names, lora_settings(text, path.name))
    except BaseException:
        source.close()
        raise


def _is_joined(folder: Path) -> bool:
    names = ("pytorch_model.bin", "model.safetensors", "model.safetensors.index.json")
    return any((folder / name).is_file() for name in names)


def _open(path: Path) -> tuple[Checkpoint, Any]:
    """The tensors, and `meta` where the file has one."""
    file = read_torch(_file(path))
    data = file.data if isinstance(file.data, dict) else {}
    state = data.get("module") if path.is_dir() else data.get("state_dict", data)
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
    return file.open(state), data.get("meta") if state is not data else None


def _configuration(path: Path) -> str | None:
    """The text of the only XTuner configuration in the folder."""
    folder = path if path.is_dir() else path.parent
    texts = [
        found.read_text(encoding="utf-8", errors="replace")
        for found in sorted(folder.glob("*.py"))
        if found.stat().st_size <= _MAX_TEXT
    ]
    texts = [text for text in texts if re.search(r"^model = dict\(", text, re.MULTILINE)]
    return texts[0] if len(texts) == 1 else None


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    others = sorted(
        found.name for found in path.glob("mp_rank_*_model_states.pt") if found.name != DEEPSPEED
    )
    if others:
        raise WeightsError(
            f"{path.name} is split over several files ({others[0]})",
            "train without model parallelism; xtuner has none for LoRA",
        )
    return inside(path, DEEPSPEED)


def lora_settings(text: Any, where: str) -> dict[str, Settings]:
    """Rank and alpha by prefix of the module's name, from the `model = dict(...)` of a
    configuration's text.

    Raises:
        WeightsError: the text is not there or cannot be read.
    """
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        raise WeightsError(
            f"{where}: meta['cfg'] is missing, which holds rank and alpha",
            "put the training's configuration beside it, as the only .py file with a "
            "`model = dict(...)`",
        )
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
