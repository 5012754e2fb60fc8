"""Weights that trainers leave beside an adapter: parts that were trained whole, the training's own
state, and what hubkit does not know."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from hubkit.sdk.errors import WeightsError

from ...files.tree import walk
from ..checkpoint import Checkpoint
from .opening import open_weights

TRAINED_WHOLE = ("non_lora_trainables", "non_lora_state_dict")
"""LLaVA's train.py (and what descends from it) and the Qwen2-VL fine-tuning scripts."""
_WEIGHTS = frozenset(
    {
        *(".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".npy", ".npz"),
        *(".pickle", ".pkl", ".pt", ".pth", ".safetensors"),
    }
)
_STATE = re.compile(
    r"(optimizer|scheduler|scaler|sampler|rng_state|random_states|training_args)(_\d+)?\.\w+"
    r"|.*(_optim|zero_pp_rank_\d+_mp_rank_\d+_model)_states\.pt"
)
"""What transformers', accelerate's and DeepSpeed's checkpoints hold to go on training."""
_CHECKPOINT = re.compile(r"checkpoint-\d+|global_step\d+")


def with_trained_whole(folder: Path, adapter: Checkpoint) -> Checkpoint:
    """`adapter` and the parts that were trained whole beside it, as one.

    Raises:
        WeightsError: a tensor stands in two of the files.
    """
    parts = [adapter]
    try:
        for stem in TRAINED_WHOLE:
            if any((folder / f"{stem}{end}").is_file() for end in (".bin", ".safetensors")):
                parts.append(open_weights(folder, stem, stem))
        seen: dict[str, str] = {}
        for info in (info for part in parts for info in part.tensors.values()):
            if (first := seen.setdefault(info.name, info.shard)) != info.shard:
                raise WeightsError(
                    f"{folder.name}: {info.name!r} is in {first} and in {info.shard}",
                    "keep the file that was saved last, and move the other out of the folder",
                )
    except BaseException:
        for part in parts[1:]:
            part.close()
        raise
    shards = tuple(shard for part in parts for shard in part.shards.values())
    return Checkpoint(folder, shards, None) if parts[1:] else adapter


def unread(folder: Path, read: Collection[str]) -> list[str]:
    """Files with weights in `folder` that are not `read`, nor the state of a training that goes on;
    for all those within a folder that nothing is read from, the folder."""
    parts = {name.partition("/")[0] for name in read if "/" in name}
    found: dict[str, None] = {}
    for name, _ in walk(folder):
        top, below, _ = name.partition("/")
        weights = Path(name).suffix.lower() in _WEIGHTS and name not in read
        if not weights or _STATE.fullmatch(Path(name).name):
            continue
        if not below or top in parts:
            found[name] = None
        elif not (top.startswith(".") or _CHECKPOINT.fullmatch(top)):
            found[top] = None
    return list(found)


def check_all_read(folder: Path, read: Collection[str]) -> None:
    """Raises WeightsError for weights beside the adapter that would be lost."""
    if names := unread(folder, read):
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise WeightsError(
            f"{folder.name}: {names[0]}{more} lies beside the adapter and is not merged",
            "move it out of the folder if it does not belong to the adapter; a second adapter is "
            "merged with --then",
        )
