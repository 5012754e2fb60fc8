"""The true delta of a NExT-GPT: what its base models do not have, as safetensors.

Of embed_tokens and lm_head only the rows that differ from the base language model are kept: those
added for NExT-GPT's signal tokens, and whatever else training changed, since NExT-GPT's code trains
both whole. config.json says which, and which file each tensor was in; `restore` puts them together
again, bit for bit.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hubkit.sdk import RefusedError, Run, SilentRun, UsageError, WeightsError, json_text
from hubkit.sdk.checkpoints import NewTensor, TensorInfo, Weights, open_weights, write_safetensors

from . import current, names
from .folders import read
from .legacy import CHECKPOINT
from .licenses import FILE, components
from .rows import against_base

ARCHITECTURE = "NextGPTDelta"
WEIGHTS = "model.safetensors"
CARRIED = (
    "added_tokens.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "tokenizer.model",
)
"""Files of the tokenizer, which the legacy code saves beside its checkpoint."""
SETTINGS = ("adapter_config.json", "config.json")
"""Of the current code: what peft saved, and the configuration with the tower and the decoders. The
delta has a config.json of its own, so these are kept in it."""


@dataclass(frozen=True)
class Packed:
    """`rows` are the rows kept of each embedding, `changed` how many of them are the base's own
    vocabulary; `size` and `whole` are bytes of the delta's and of the checkpoint's tensors."""

    folder: Path
    tensors: int
    rows: Mapping[str, int]
    changed: Mapping[str, int]
    size: int
    whole: int


def pack(
    checkpoint: Path,
    base: Path,
    out: Path,
    *,
    licenses: Iterable[Mapping[str, Any]],
    base_name: str = "",
    alpha: int = 0,
    run: Run | None = None,
) -> Packed:
    """Writes the delta in `checkpoint` (a folder of NExT-GPT's, or its pytorch_model.pt) against
    the language model in the folder `base` to `out`, which must not exist. `licenses` are the
    parts' licences that hubkit cannot know; `alpha` is the LoRA's when the checkpoint does not say
    it (0: the legacy code's 32).

    Raises:
        UsageError: `out` exists, or a part's licence is not stated.
        WeightsError: the checkpoint or the base does not hold together.
        RefusedError: the checkpoint holds tensors that are no part of NExT-GPT.
    """
    run, parts = run or SilentRun(), components(licenses)
    if out.exists():
        raise UsageError(f"{out} exists", "name a folder that does not")
    found = read(checkpoint) if checkpoint.is_dir() else open_weights(checkpoint)
    settings = (
        _settings(checkpoint, base_name)
        if any(found[name].shard in current.FILES for name in found)
        else {}
    )
    if foreign := [name for name in found if names.group(name) == names.OTHER]:
        listed = ", ".join(foreign[:8])
        raise RefusedError(
            f"{len(foreign)} tensors are no part of NExT-GPT's delta: {listed}",
            "save the model's own parts only",
        )
    _check_pairs(found)
    language, tensors, kept = open_weights(base), [], {}
    for done, (name, info) in enumerate(found.items()):
        run.check_cancelled()
        run.progress(done, len(found), "tensors")
        if names.group(name) == "embeddings":
            ranges = against_base(language, found, name)
            kept[name] = {
                "base": names.in_base(name),
                "dtype": info.dtype,
                "shape": list(info.shape),
                "rows": ranges,
            }
            if ranges:
                count = sum(last - first for first, last in ranges)
                tensors.append(
                    NewTensor(
                        name, info.dtype, (count, *info.shape[1:]), _rows(found, name, ranges)
                    )
                )
        else:
            tensors.append(NewTensor(name, info.dtype, info.shape, found.blocks(name)))
    config = {
        "architectures": [ARCHITECTURE],
        "base_model": base_name,
        "components": [asdict(part) for part in parts],
        "embeddings": kept,
        "files": _files(found),
        "lora": _lora(found, settings, alpha),
        "settings": settings,
        "tensors": {one.name: list(one.shape) for one in sorted(tensors, key=lambda one: one.name)},
    }
    partial = out.with_name(f".{out.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    write_safetensors(
        partial / WEIGHTS, sorted(tensors, key=lambda one: one.name), {"format": "pt"}
    )
    _write_json(partial / "config.json", config)
    _write_json(partial / FILE, [asdict(part) for part in parts])
    beside = checkpoint if checkpoint.is_dir() else checkpoint.parent
    for name in CARRIED:
        if (beside / name).is_file() and not (beside / name).is_symlink():
            shutil.copyfile(beside / name, partial / name)
    partial.replace(out)
    run.progress(len(found), len(found), "tensors")
    return _packed(out, found, language, kept)


def _packed(out: Path, found: Weights, language: Weights, kept: Mapping[str, Any]) -> Packed:
    written = open_weights(out / WEIGHTS)
    rows = {name: sum(b - a for a, b in entry["rows"]) for name, entry in kept.items()}
    old = {name: language[entry["base"]].rows for name, entry in kept.items()}
    changed = {
        n: sum(max(0, min(b, old[n]) - a) for a, b in entry["rows"]) for n, entry in kept.items()
    }
    size, whole = (sum(info.size for info in weights.values()) for weights in (written, found))
    return Packed(out, len(written), rows, changed, size, whole)


def _rows(found: Weights, name: str, ranges: list[list[int]]) -> Iterator[bytes]:
    for first, last in ranges:
        yield from found.blocks(name, (first, last))


def _check_pairs(found: Weights) -> None:
    parts = {pair for name in found if (pair := names.lora(name))}
    for module, part in sorted(parts):
        if (module, "B" if part == "A" else "A") not in parts:
            raise WeightsError(f"{module} has lora_{part} alone", "save the whole LoRA")
    if not found or not any(math.prod(info.shape) for info in found.values()):
        raise WeightsError("the checkpoint holds no tensors", "train again; nothing was saved")


def _files(found: Weights) -> dict[str, list[str]]:
    """Names of the tensors in each file, in their order."""
    files: dict[str, list[str]] = {}
    for name, info in found.items():
        files.setdefault(info.shard if info.shard in current.FILES else CHECKPOINT, []).append(name)
    return files


def _lora(
    found: Mapping[str, TensorInfo], settings: Mapping[str, Any], alpha: int
) -> dict[str, Any] | None:
    modules = {
        pair[0].rpartition(".")[2]: info
        for name, info in found.items()
        if (pair := names.lora(name)) and pair[1] == "A"
    }
    if not modules:
        return None
    said = settings.get("adapter_config.json", {}).get("lora_alpha")
    targets = [target for target in names.TARGETS if target in modules]
    return {
        "rank": max(info.shape[0] for info in modules.values()),
        "alpha": alpha or (said if isinstance(said, int | float) else 32),
        "targets": targets,
    }


def _settings(folder: Path, base_name: str) -> dict[str, Any]:
    """Contents by file. The base is named by its repository, not by where it was."""
    found = {}
    for name in SETTINGS:
        try:
            found[name] = json_text.load(folder / name)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise WeightsError(
                f"{name} of the checkpoint cannot be read as JSON ({error})",
                "train the stage again",
            ) from None
        if not isinstance(found[name], dict):
            raise WeightsError(f"{name} of the checkpoint is no mapping", "train the stage again")
        found[name] |= {
            key: base_name
            for key in ("_name_or_path", "base_model_name_or_path")
            if key in found[name]
        }
    return found


def _write_json(path: Path, value: object) -> None:
    path.write_text(
        json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n"
    )
