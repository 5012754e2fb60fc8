"""DeepSpeed's folders of ZeRO-3, in which each GPU saved its share of every trained tensor.

A GPU's `*_optim_states.pt` holds its shares in float32, end to end, in the order of `param_shapes`
of its `*_model_states.pt`; a tensor is cut into as many as there are GPUs, and the last one is
filled up. Source: deepspeed/utils/zero_to_fp32.py (0.16.2), whose result this is.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hubkit.sdk.errors import WeightsError

from ..checkpoint import Checkpoint, Shard, file_state
from ..header import build_header
from ..torchfile import read_torch
from ..unpickle import StoredTensor

MODELS = "*zero_pp_rank_*_model_states.pt"
_RANK = re.compile(r"zero_pp_rank_(\d+)_mp_rank_00_(model|optim)_states\.pt")
_WIDTH = 4
_ALL = "give the folder with the files of all GPUs, as the training left it"
_LOST = (
    "under ZeRO-3 the weights are in *_optim_states.pt: give the folder with them, or train again "
    "with save_optimizer=True, or under ZeRO-2"
)


def read_zero3(folder: Path) -> tuple[Checkpoint, Mapping[str, Any]]:
    """The trained tensors, joined in a temporary file without a name, and what the training saved
    beside them (XTuner's `meta`).

    Raises:
        WeightsError: a GPU's file is missing, or the shares are not those that the shapes ask for.
    """
    models, optims = _ranks(folder, "model"), _ranks(folder, "optim")
    if not optims:
        raise WeightsError(f"{folder.name} was saved under ZeRO-3 without its weights", _LOST)
    if sorted(models) != list(range(len(models))) or models.keys() != optims.keys():
        raise WeightsError(
            f"{folder.name}: model states of the GPUs {sorted(models)}, optimizer states of "
            f"{sorted(optims)}",
            _ALL,
        )
    saved = read_torch(models[0]).data
    saved = saved if isinstance(saved, dict) else {}
    shapes = _shapes(folder, saved, len(models))
    with ExitStack() as open_files:
        shares = [open_files.enter_context(_shares(optims[rank])) for rank in sorted(optims)]
        lengths = {sum(tensor.size for tensor in one.tensors.values()) for one in shares}
        wanted = sum(_part(shape, len(shares)) for shape in shapes.values())
        if lengths != {wanted}:
            raise WeightsError(
                f"{folder.name}: the shares of the GPUs are of {sorted(lengths)} bytes, their "
                f"shapes ask for {wanted}",
                _ALL,
            )
        return _joined(folder, shapes, shares), saved


def _ranks(folder: Path, kind: str) -> dict[int, Path]:
    found = {}
    for path in folder.iterdir():
        match = _RANK.fullmatch(path.name[path.name.find("zero_pp_rank") :])
        if match and match[2] == kind:
            found[int(match[1])] = path
    return found


def _shapes(folder: Path, saved: Mapping[str, Any], ranks: int) -> dict[str, tuple[int, ...]]:
    groups = saved.get("param_shapes")
    if not isinstance(groups, list) or saved.get("dp_world_size", ranks) != ranks:
        of = saved.get("dp_world_size", "an unknown number")
        raise WeightsError(f"{folder.name}: files of {ranks} GPUs of {of}", _ALL)
    shapes = {name: shape for group in groups for name, shape in group.items()}
    if not all(isinstance(name, str) and isinstance(s, tuple) for name, s in shapes.items()):
        raise WeightsError(f"{folder.name}: param_shapes are no shapes", _ALL)
    return shapes


def _shares(path: Path) -> Checkpoint:
    """One GPU's flat tensors, in their order."""
    file = read_torch(path)
    state = file.data.get("optimizer_state_dict") if isinstance(file.data, dict) else None
    groups = state.get("fp32_flat_groups") if isinstance(state, dict) else None
    if not isinstance(groups, list) or not all(
        isinstance(one, StoredTensor) and one.storage.dtype == "F32" for one in groups
    ):
        raise WeightsError(f"{path.name} holds no fp32_flat_groups", _ALL)
    return file.open({str(number): one for number, one in enumerate(groups)})


def _part(shape: Sequence[int], ranks: int) -> int:
    """Bytes of one GPU's share of a tensor."""
    return -(-math.prod(shape) // ranks) * _WIDTH


def _joined(
    folder: Path, shapes: Mapping[str, tuple[int, ...]], shares: Sequence[Checkpoint]
) -> Checkpoint:
    named = ((name, "F32", shape) for name, shape in shapes.items())
    header = build_header(named, folder.name, {})
    with tempfile.TemporaryFile(prefix="hubkit-zero3-") as file:
        file.write(header.raw)
        at = 0
        for shape in shapes.values():
            left, part = math.prod(shape) * _WIDTH, _part(shape, len(shares))
            for share in shares:
                for piece in _bytes(share, at, min(left, part)):
                    file.write(piece)
                left -= min(left, part)
            at += part
        file.flush()
        descriptor = os.dup(file.fileno())
    found = os.fstat(descriptor)
    shard = Shard(folder.name, folder, found.st_size, header, descriptor, file_state(found))
    return Checkpoint(folder, (shard,), None)


def _bytes(share: Checkpoint, start: int, count: int) -> Iterator[bytearray]:
    """`count` bytes of the flat tensors from `start` on, as if they were one."""
    for info in share.tensors.values():
        here = min(count, info.size - start)
        if here > 0:
            piece = bytearray(here)
            share.shard(info.name).read_into(memoryview(piece), info.start + start)
            yield piece
            count -= here
        start = max(0, start - info.size)
