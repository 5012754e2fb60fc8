"""Everything that is wrong with a PEFT adapter folder, without its base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk.errors import UsageError
from hubkit.sdk.family import Problem

from ...files.outside import read_json
from ...hygiene.local_paths import is_local_path
from ..diagnosis import check_floats
from .extra_weights import TRAINED_WHOLE, unread
from .names import SETTINGS, WEIGHTS
from .peft import read_peft

_BASE = "base_model_name_or_path"
_NAME_IT = "name its repository"


def adapter_problems(folder: Path) -> Iterator[Problem]:
    """Findings on settings and weights; only headers of weights are read."""
    try:
        settings = read_json(folder, SETTINGS)
    except UsageError as error:
        yield Problem(SETTINGS, error.message, error.remedy)
        return
    yield from _base(settings)
    yield from _beside(folder)
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
        try:
            check_floats(source.tensors.values())
        except UsageError as error:
            yield Problem(WEIGHTS, error.message, error.remedy)


def _base(settings: Mapping[str, Any]) -> Iterator[Problem]:
    name = settings.get(_BASE)
    if not isinstance(name, str) or not name.strip():
        yield Problem(
            f"{SETTINGS}: {_BASE}",
            "is missing: peft would not know the base",
            _NAME_IT,
        )
    elif is_local_path(_BASE, name):
        yield Problem(f"{SETTINGS}: {_BASE}", f"{name!r} is a path on somebody's machine", _NAME_IT)


def _beside(folder: Path) -> Iterator[Problem]:
    """peft and servers load one file: what lies beside it is lost to them."""
    for name in unread(folder, _own(folder)):
        whole = Path(name).stem in TRAINED_WHOLE
        yield Problem(
            name,
            "holds weights that were trained beside the adapter; peft does not load them"
            if whole
            else "weights beside the adapter that neither peft nor hubkit loads",
            "publish the merged model: hubkit merge reads this file"
            if whole
            else "move it out of the folder if it does not belong to the adapter",
        )


def _own(folder: Path) -> set[str]:
    """The adapter's own files, shards included."""
    return {path.name for path in folder.glob("adapter_model*")}
