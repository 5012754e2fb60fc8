"""Everything that is wrong with a PEFT adapter folder, without its base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk.errors import UsageError
from hubkit.sdk.family import Problem

from ...files.outside import read_json
from ..merge import check_floats
from .peft import SETTINGS, WEIGHTS, read_peft


def is_adapter(folder: Path) -> bool:
    """Whether `folder` is an adapter and no model."""
    return (folder / SETTINGS).is_file() and not (folder / "config.json").is_file()


def adapter_problems(folder: Path) -> Iterator[Problem]:
    """Findings on settings and weights; only headers of weights are read."""
    try:
        settings = read_json(folder, SETTINGS)
    except UsageError as error:
        yield Problem(SETTINGS, error.message, error.remedy)
        return
    yield from _base(settings)
    if not (folder / WEIGHTS).is_file():
        yield Problem(WEIGHTS, "is missing", "save the adapter as safetensors")
        return
    try:
        adapter = read_peft(folder)
    except UsageError as error:
        yield Problem(
            SETTINGS if error.message.startswith(SETTINGS) else WEIGHTS, error.message, error.remedy
        )
        return
    with adapter.source as source:
        if not source.tensors:
            yield Problem(WEIGHTS, "holds no tensors", "train again; nothing was saved")
        try:
            check_floats(source.tensors.values())
        except UsageError as error:
            yield Problem(WEIGHTS, error.message, error.remedy)


def _base(settings: Mapping[str, Any]) -> Iterator[Problem]:
    name = settings.get("base_model_name_or_path")
    if not isinstance(name, str) or not name.strip():
        yield Problem(
            f"{SETTINGS}: base_model_name_or_path",
            "is missing: peft would not know the base",
            "name its repository",
        )
