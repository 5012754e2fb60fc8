"""An adapter that was trained before, in the place of one that the release trains."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

from ..files.disk import reflink
from ..sdk import TrainOutput
from ..weights.adapters.adapter import Adapter
from ..weights.adapters.formats import format_of, read_adapter
from .stage import Context

METRICS = "metrics.jsonl"
_SETTINGS = ("adapter_config.json", "config.json")


def digest(context: Context, path: Path) -> str:
    """Of the adapter's file, or of all files in its folder. Raises UsageError when it is not
    there."""
    read_adapter(path).source.close()
    return context.digest(path)


def files_of(path: Path) -> set[Path]:
    """The files that the adapter at `path` is read from: its weights, and the settings beside
    them."""
    with read_adapter(path).source as source:
        weights = {shard.path for shard in source.shards.values()}
    return weights | {
        file
        for folder in {path, *(file.parent for file in weights)}
        for name in _SETTINGS
        if (file := folder / name).is_file()
    }


def take(path: Path, out: Path) -> TrainOutput:
    """Copies the adapter at `path` into `out`: the release then depends on nothing that may change
    or vanish.

    Raises:
        UsageError: there is no adapter at `path`.
        WeightsError: it does not hold together.
    """
    kind = format_of(path)
    adapter = kind.read(path)
    with adapter.source as source:
        trainable = sum(math.prod(tensor.shape) for tensor in source.tensors.values())
    kept = out / ("adapter" if path.is_dir() else f"adapter{path.suffix}")
    if path.is_dir():
        shutil.copytree(path, kept, copy_function=_copy)
    else:
        _copy(str(path), str(kept))
    (out / METRICS).touch()
    return TrainOutput(
        adapter=kept.name,
        format=kind.name,
        metrics=METRICS,
        steps=0,
        samples=0,
        trainable_parameters=trainable,
        settings=_settings(adapter),
    )


def _settings(adapter: Adapter) -> dict[str, str | int | float | bool]:
    """What the adapter itself says of its training; ranks that differ are given as a list."""
    wrapped = {(one.settings.rank, one.settings.alpha) for one in adapter.wrapped}
    own = {(lora.rank, round(lora.scale * lora.rank, 6)) for lora in adapter.loras}
    ranks = sorted({rank for rank, _ in own | wrapped})
    alphas = sorted({alpha for _, alpha in own | wrapped})
    found: dict[str, str | int | float | bool] = {"method": "LoRA" if ranks else "full"}
    for name, values in (("rank", ranks), ("alpha", alphas)):
        if values:
            found[name] = (
                values[0] if len(values) == 1 else ", ".join(f"{value:g}" for value in values)
            )
    return found


def _copy(source: str, target: str) -> Any:
    try:
        reflink(Path(source).resolve(), Path(target))
    except OSError:
        Path(target).unlink(missing_ok=True)
        shutil.copyfile(source, target)
