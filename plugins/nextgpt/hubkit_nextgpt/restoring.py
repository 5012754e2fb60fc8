"""Base and delta to the pytorch_model.pt that NExT-GPT loads."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.sdk import UsageError, WeightsError
from hubkit.sdk.checkpoints import Weights, open_weights

from .command import CHECKPOINT
from .delta import ARCHITECTURE, CARRIED, WEIGHTS, as_stored

if TYPE_CHECKING:
    import torch


def tensors(delta: Path, base: Path) -> dict[str, torch.Tensor]:
    """Every tensor of the checkpoint that was packed, bit for bit and in its order.

    Raises:
        UsageError: `delta` is no delta folder.
        WeightsError: base and delta do not belong together.
    """
    import torch

    try:
        config = json.loads((delta / "config.json").read_text("utf-8"))
        order, embeddings = config["order"], config["embeddings"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"{delta.name} is not a delta of NExT-GPT", "name a folder that `pack` made") from None
    if config.get("architectures") != [ARCHITECTURE]:
        raise UsageError(f"{delta.name} is not a delta of NExT-GPT", "name a folder that `pack` made")
    kinds = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
    own, language = open_weights(delta / WEIGHTS), open_weights(base)
    found = {}
    for name in order:
        if name in embeddings:
            data, dtype, shape = _embedding(name, embeddings[name], own, language)
        else:
            data, dtype, shape = own.read(name), own[name].dtype, own[name].shape
        found[name] = torch.frombuffer(bytearray(data), dtype=kinds[dtype]).view(shape)
    return found


def _embedding(name: str, entry: Mapping[str, Any], own: Weights, language: Weights) -> tuple[bytes, str, tuple[int, ...]]:
    old, shape = language.get(entry["base"]), tuple(entry["shape"])
    if old is None or old.shape[1:] != shape[1:]:
        raise WeightsError(f"the base has no {entry['base']} of the delta's width", "name the base that was trained from")
    dtype = entry["dtype"]
    whole = bytearray(as_stored(language.read(entry["base"]), old.dtype, dtype))
    width = len(whole) // old.rows
    whole.extend(bytes((shape[0] - old.rows) * width))
    rows = b"" if name not in own else own.read(name)
    for first, last, at in _placed(entry["rows"]):
        whole[first * width : last * width] = rows[at * width : (at + last - first) * width]
    return bytes(whole), dtype, shape


def _placed(ranges: list[list[int]]) -> Iterator[tuple[int, int, int]]:
    at = 0
    for first, last in ranges:
        yield first, last, at
        at += last - first


def restore(delta: Path, base: Path, out: Path) -> Path:
    """Writes `out/pytorch_model.pt`, for NExT-GPT's own loader, and the tokenizer's files; the checkpoint's path."""
    import torch

    if (out / CHECKPOINT).exists():
        raise UsageError(f"{out / CHECKPOINT} exists", "name another folder")
    found = tensors(delta, base)
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f".{CHECKPOINT}.partial"
    torch.save(found, partial)
    for name in CARRIED:
        if (delta / name).is_file():
            shutil.copyfile(delta / name, out / name)
    return partial.replace(out / CHECKPOINT)
