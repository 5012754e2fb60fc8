"""Tensors of one file, or of a model folder, by name; and a safetensors file of others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import json_text
from ..errors import WeightsError
from ..excerpt import shown
from ..files import open_file
from .header import REMEDY, TensorInfo, build_header, read_header
from .torchfile import read_torch
from .unpickle import StoredTensor

_BLOCK = 1 << 22
_PICKLES = (".pt", ".pth", ".bin")
_UNREADABLE = "check the path, the file and its permissions"


@dataclass(frozen=True)
class NewTensor:
    """A tensor to write: `parts` are its bytes, row by row, in pieces of any length. `dtype` is
    safetensors' name of it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    parts: Iterable[bytes]


class Weights(Mapping[str, TensorInfo]):
    """Names to TensorInfo, in the order in which they are stored; bytes are read when asked for."""

    def __init__(self, tensors: Mapping[str, tuple[Path, TensorInfo]]) -> None:
        self._tensors = dict(tensors)

    def __getitem__(self, name: str) -> TensorInfo:
        return self._tensors[name][1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def read(self, name: str, rows: tuple[int, int] | None = None) -> bytes:
        """The bytes of the tensor `name`, or of its rows from `rows[0]` to before `rows[1]`."""
        return b"".join(self.blocks(name, rows))

    def blocks(self, name: str, rows: tuple[int, int] | None = None) -> Iterator[bytes]:
        """As `read`, in pieces of 4 MiB and a rest. Raises WeightsError when the file has become
        shorter."""
        path, info = self._tensors[name]
        first, last = rows or (0, info.rows)
        at, end = info.start + first * info.row_size, info.start + last * info.row_size
        with open_file(path) as file:
            file.seek(at)
            while at < end:
                block = file.read(min(_BLOCK, end - at))
                if not block:
                    raise WeightsError(
                        f"{path.name} became shorter while it was read",
                        "leave the file alone and run again",
                    )
                at += len(block)
                yield block

    def select(self, names: Iterable[str]) -> Weights:
        """Only the tensors of these names."""
        return Weights({name: self._tensors[name] for name in names})

    def __or__(self, other: Weights) -> Weights:
        """Both; of a name that both have, the tensor of `other`."""
        return Weights(self._tensors | other._tensors)


def open_weights(path: Path) -> Weights:
    """The tensors of a safetensors file, of a file of torch.save that holds a mapping of names to
    tensors, or of a model folder with either (whole, or in shards that an index names).

    Raises:
        WeightsError: there is no such file, it does not hold together, or it is a pickle of
            anything else.
    """
    if path.is_dir():
        return _folder(path)
    if path.suffix == ".safetensors":
        return _safetensors(path)
    if path.suffix in _PICKLES:
        return _pickled(path)
    raise WeightsError(
        f"{path.name} is no weights file by its name",
        f"give a .safetensors, {', '.join(_PICKLES)} or a folder",
    )


def _folder(folder: Path) -> Weights:
    for stem in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{stem}.index.json"
        if index.is_file():
            found = Weights({})
            for name in _shards(index):
                found = found | open_weights(folder / name)
            return found
        if (folder / stem).is_file():
            return open_weights(folder / stem)
    raise WeightsError(
        f"{folder.name} holds neither model.safetensors nor pytorch_model.bin",
        "name the folder of the weights",
    )


def _shards(index: Path) -> list[str]:
    try:
        names = sorted(set(json_text.load(index)["weight_map"].values()))
    except OSError as error:
        raise WeightsError(f"{index.name} cannot be read ({error.strerror})", _UNREADABLE) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise WeightsError(
            f"{index.name}: weight_map must map tensor names to file names", REMEDY
        ) from None
    if bad := [
        name
        for name in names
        if not isinstance(name, str) or not re.fullmatch(r"[\w-][\w.-]*", name)
    ]:
        raise WeightsError(
            f"{index.name} names {shown(bad[0])}, which is not a file beside it", REMEDY
        )
    return names


def _safetensors(path: Path) -> Weights:
    try:
        with open_file(path) as file:
            header = read_header(file, os.fstat(file.fileno()).st_size, path.name)
    except OSError as error:
        raise WeightsError(f"{path.name} cannot be read ({error.strerror})", _UNREADABLE) from None
    return Weights({info.name: (path, info) for info in header.tensors})


def _pickled(path: Path) -> Weights:
    found = read_torch(path)
    if not isinstance(found.data, dict):
        raise WeightsError(
            f"{path.name} holds no mapping of names to tensors",
            "give the file with the model's state_dict",
        )
    for name, value in found.data.items():
        if not isinstance(name, str) or not isinstance(value, StoredTensor):
            raise WeightsError(
                f"{path.name}: {shown(name)} is not a tensor",
                "give the file with the model's state_dict alone",
            )
    return Weights({name: (path, found.info(name, value)) for name, value in found.data.items()})


def write_safetensors(
    path: Path, tensors: Iterable[NewTensor], metadata: Mapping[str, str]
) -> None:
    """Writes `path` in one step: whole, or not at all. The same tensors give the same bytes.

    Raises:
        WeightsError: the parts of a tensor are not as long as its shape and dtype say.
    """
    wanted = list(tensors)
    header = build_header([(one.name, one.dtype, one.shape) for one in wanted], path.name, metadata)
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(header.raw)
            for one, info in zip(wanted, header.tensors, strict=True):
                for part in one.parts:
                    file.write(part)
                if file.tell() != info.end:
                    raise WeightsError(
                        f"{path.name}: tensor {one.name!r} has not the bytes of its shape",
                        "give parts as long as the shape and the dtype say",
                    )
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
