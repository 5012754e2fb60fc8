"""Base and delta to the files that NExT-GPT loads. The delta may come from anywhere: what it says
of itself is checked first."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.sdk import UsageError, WeightsError, json_text
from hubkit.sdk.checkpoints import NewTensor, open_weights, write_safetensors

from .command import CHECKPOINTS
from .delta import ARCHITECTURE, CARRIED, SETTINGS, WEIGHTS
from .rows import as_stored

if TYPE_CHECKING:
    import torch

_REMEDY = "download the delta again, or pack it again"
_DTYPES = ("F16", "BF16", "F32", "F64")


def restore(delta: Path, base: Path, out: Path) -> tuple[Path, ...]:
    """Writes the checkpoint that was packed, file by file, into the folder `out`:
    `pytorch_model.pt` for the legacy code's loader, or what the current code's stages wrote; and
    the tokenizer's files. Every tensor is the same bit for bit.

    Raises:
        UsageError: `delta` is no delta folder, or a file is there already.
        WeightsError: base and delta do not belong together, or the delta does not hold together.
    """
    config, whole = _config(delta), _Whole(delta, base)
    files = {file: [whole.new(name) for name in names] for file, names in config["files"].items()}
    if there := [file for file in files if (out / file).exists()]:
        raise UsageError(f"{out / there[0]} exists", "name another folder")
    out.mkdir(parents=True, exist_ok=True)
    for file, found in files.items():
        partial = out / f".{file}.partial"
        try:
            _write(partial, found, safe=file.endswith(".safetensors"))
            partial.replace(out / file)
        finally:
            partial.unlink(missing_ok=True)
    for name, value in config["settings"].items():
        (out / name).write_text(
            json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n"
        )
    for name in CARRIED:
        if (delta / name).is_file() and not (delta / name).is_symlink():
            shutil.copyfile(delta / name, out / name)
    return tuple(out / file for file in files)


def tensors(delta: Path, base: Path) -> dict[str, torch.Tensor]:
    """Every tensor of the checkpoint that was packed, bit for bit and in its order. Raises as
    `restore`."""
    whole = _Whole(delta, base)
    return {
        name: _tensor(whole.new(name))
        for names in _config(delta)["files"].values()
        for name in names
    }


def _write(path: Path, found: list[NewTensor], safe: bool) -> None:
    if safe:
        write_safetensors(path, found, {"format": "pt"})
    else:
        import torch

        torch.save({new.name: _tensor(new) for new in found}, path)


def _tensor(new: NewTensor) -> torch.Tensor:
    import torch

    kinds = {
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "F32": torch.float32,
        "F64": torch.float64,
    }
    data = bytearray(b"".join(new.parts))
    flat = (
        torch.frombuffer(data, dtype=kinds[new.dtype])
        if data
        else torch.empty(0, dtype=kinds[new.dtype])
    )
    return flat.view(new.shape)


def _config(delta: Path) -> dict[str, Any]:
    try:
        config = json_text.load(delta / "config.json")
        known = config["architectures"] == [ARCHITECTURE]
    except (OSError, ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise UsageError(
            f"{delta.name} is not a delta of NExT-GPT", "name a folder that `pack` made"
        )
    files, settings = config.get("files"), config.get("settings")
    if not isinstance(files, dict) or not files or not set(files) <= set(CHECKPOINTS):
        raise WeightsError(
            "config.json: `files` must name files of NExT-GPT's checkpoints", _REMEDY
        )
    if not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names)
        for names in files.values()
    ):
        raise WeightsError("config.json: `files` must map each file to its tensors", _REMEDY)
    if not isinstance(settings, dict) or not set(settings) <= set(SETTINGS):
        raise WeightsError(
            f"config.json: `settings` must have {' and '.join(SETTINGS)} alone", _REMEDY
        )
    return dict(config)


class _Whole:
    """Tensors of the checkpoint by name, embeddings put together."""

    def __init__(self, delta: Path, base: Path) -> None:
        self._own, self._language = open_weights(delta / WEIGHTS), open_weights(base)
        embeddings = _config(delta).get("embeddings")
        self._embeddings: Mapping[str, Any] = embeddings if isinstance(embeddings, dict) else {}

    def new(self, name: str) -> NewTensor:
        if name in self._embeddings:
            new = self._embedding(name, self._embeddings[name])
        elif name in self._own:
            new = NewTensor(
                name, self._own[name].dtype, self._own[name].shape, self._own.blocks(name)
            )
        else:
            raise WeightsError(
                f"config.json names {name!r}, which {WEIGHTS} does not hold", _REMEDY
            )
        if new.dtype not in _DTYPES:
            raise WeightsError(f"{name} is {new.dtype}; {', '.join(_DTYPES)} are expected", _REMEDY)
        return new

    def _embedding(self, name: str, entry: Any) -> NewTensor:
        try:
            source, dtype, shape, ranges = (
                entry["base"],
                entry["dtype"],
                tuple(entry["shape"]),
                list(entry["rows"]),
            )
            kept = sum(last - first for first, last in ranges)
            ends = [0, *(number for span in ranges for number in span)]
            sound = (
                isinstance(source, str)
                and all(type(n) is int and n >= 0 for n in (*shape, *ends))
                and ends == sorted(ends)
                and ends[-1] <= shape[0]
            )
        except (KeyError, TypeError, ValueError, IndexError):
            sound = False
        if not sound:
            raise WeightsError(f"config.json: what it says of {name} cannot be", _REMEDY)
        old = self._language.get(source)
        if old is None or old.shape[1:] != shape[1:] or old.rows > shape[0]:
            raise WeightsError(
                f"the base has no {source} of the delta's width",
                "name the base that was trained from",
            )
        rows = self._own.get(name)
        if (rows is None and kept) or (
            rows and (rows.dtype, rows.shape) != (dtype, (kept, *shape[1:]))
        ):
            raise WeightsError(
                f"{WEIGHTS} does not hold the {kept} rows of {name} that config.json names", _REMEDY
            )
        if (
            sum(
                min(last, shape[0]) - max(first, old.rows)
                for first, last in ranges
                if last > old.rows
            )
            != shape[0] - old.rows
        ):
            raise WeightsError(
                f"the rows of {name} after the base's {old.rows} are not all there",
                "name the base that was trained from",
            )
        return NewTensor(name, dtype, shape, self._parts(name, source, ranges, dtype, old.rows))

    def _parts(
        self, name: str, source: str, ranges: list[list[int]], dtype: str, rows: int
    ) -> Iterator[bytes]:
        at = taken = 0
        for first, last in [*ranges, [rows, rows]]:
            if at < min(first, rows):
                yield as_stored(
                    self._language.read(source, (at, min(first, rows))),
                    self._language[source].dtype,
                    dtype,
                )
            if last > first:
                yield from self._own.blocks(name, (taken, taken + last - first))
            at, taken = max(at, last), taken + last - first
