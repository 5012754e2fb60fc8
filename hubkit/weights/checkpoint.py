"""A model's weights as they lie on disk: one safetensors file, or shards named by an index."""

from __future__ import annotations

import mmap
import os
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from hubkit.sdk.errors import UsageError, WeightsError
from hubkit.sdk.excerpt import shown
from hubkit.sdk.family import Problem
from hubkit.sdk.files import open_descriptor

from ..files.outside import inside, read_json
from ..files.pointers import is_pointer
from ..files.pointers import remedy as pull
from .header import REMEDY, Header, TensorInfo, read_header

if TYPE_CHECKING:
    import torch

_TORCH = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "U16": "uint16",
    "I32": "int32",
    "U32": "uint32",
    "I64": "int64",
    "U64": "uint64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "C64": "complex64",
}


_MOST_SHARDS = 4096
"""deepseek-ai/DeepSeek-V3 has 163."""
_TOLD = 20
"""Findings in one message."""


def torch_dtype(dtype: str, where: str) -> torch.dtype:
    """torch's dtype for safetensors' name of it. Raises WeightsError where torch has none."""
    import torch

    if dtype not in _TORCH:
        raise WeightsError(
            f"{where} has the dtype {dtype}, which hubkit cannot compute with",
            "use weights in bfloat16",
        )
    found: torch.dtype = getattr(torch, _TORCH[dtype])
    return found


@dataclass(frozen=True)
class Shard:
    """One open safetensors file. `name` is its name in the folder."""

    name: str
    path: Path
    size: int
    header: Header
    descriptor: int
    state: tuple[int, ...]
    """Device, inode, size and time of change when it was opened."""

    def read_into(self, buffer: memoryview, start: int) -> None:
        """Fills `buffer` with the file's bytes from position `start`; safe from several threads.

        Raises:
            WeightsError: the file has become shorter.
        """
        done = 0
        while done < len(buffer):
            count = os.preadv(self.descriptor, [buffer[done:]], start + done)
            if not count:
                raise WeightsError(
                    f"{self.name} became shorter while it was read",
                    "leave the file alone and run again",
                )
            done += count

    def check_unchanged(self) -> None:
        """Raises WeightsError when the file was written to, or replaced, since it was opened."""
        if (
            file_state(os.fstat(self.descriptor)) != self.state
            or file_state(self.path.stat()) != self.state
        ):
            raise WeightsError(
                f"{self.name} was changed while it was read", "leave the file alone and run again"
            )


def file_state(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class Checkpoint:
    """Checked safetensors weights. `index` is the parsed index file, None when there is one file
    only. `written_as` has the names in the files of tensors that go by another one here.

    Tensors are never copied as a whole: read_into() takes bytes from a shard, tensor() maps them
    into memory.
    """

    def __init__(
        self, folder: Path, shards: tuple[Shard, ...], index: Mapping[str, Any] | None
    ) -> None:
        self.folder = folder
        self.shards: Mapping[str, Shard] = {shard.name: shard for shard in shards}
        self.tensors: Mapping[str, TensorInfo] = {
            t.name: t for shard in shards for t in shard.header.tensors
        }
        self.index = index
        self.written_as: Mapping[str, str] = {}
        self._maps: dict[str, mmap.mmap] = {}

    @classmethod
    def open(cls, folder: Path, stem: str = "model") -> Checkpoint:
        """Opens `stem.safetensors`, or the shards that `stem.safetensors.index.json` names.

        Raises:
            WeightsError: what does not hold together, with the file and the tensor; several
                findings are given at once.
        """
        checkpoint, problems = inspect(folder, stem)
        if checkpoint is None or problems:
            if checkpoint is not None:
                checkpoint.close()
            raise WeightsError(
                "; ".join(p.message for p in problems[:_TOLD])
                + (f"; and {len(problems) - _TOLD} more" if len(problems) > _TOLD else ""),
                problems[0].remedy,
            )
        return checkpoint

    @property
    def total_size(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.size for tensor in self.tensors.values())

    def shard(self, name: str) -> Shard:
        """The shard that holds the tensor `name`."""
        return self.shards[self.tensors[name].shard]

    def tensor(self, name: str) -> torch.Tensor:
        """The tensor `name`, mapped into memory; writing to it does not change the file."""
        import torch

        info = self.tensors[name]
        dtype = torch_dtype(info.dtype, f"{info.shard}: tensor {name!r}")
        if not info.size:
            return torch.empty(info.shape, dtype=dtype)
        if info.shard not in self._maps:
            self._maps[info.shard] = mmap.mmap(
                self.shards[info.shard].descriptor, 0, access=mmap.ACCESS_COPY
            )
        view = memoryview(self._maps[info.shard])[info.start : info.end]
        return torch.frombuffer(view, dtype=torch.uint8).view(dtype).view(info.shape)

    def load(self, name: str) -> torch.Tensor:
        """A copy of the tensor `name` in memory of its own, which is free again with the tensor."""
        import torch

        info = self.tensors[name]
        dtype = torch_dtype(info.dtype, f"{info.shard}: tensor {name!r}")
        storage = torch.empty(info.size, dtype=torch.uint8)
        if info.size:
            self.shards[info.shard].read_into(memoryview(storage.numpy()), info.start)
        return storage.view(dtype).view(info.shape)

    def only(self, names: Container[str]) -> Checkpoint:
        """The same open files, with the tensors `names` alone."""
        shards = (
            replace(
                shard,
                header=replace(
                    shard.header,
                    tensors=tuple(t for t in shard.header.tensors if t.name in names),
                ),
            )
            for shard in self.shards.values()
        )
        return Checkpoint(self.folder, tuple(shards), self.index)

    def called(self, names: Mapping[str, str]) -> Checkpoint:
        """The same open files, a tensor that `names` has under the name that it gives."""
        shards = []
        for shard in self.shards.values():
            tensors = tuple(
                replace(t, name=names.get(t.name, t.name)) for t in shard.header.tensors
            )
            shards.append(replace(shard, header=replace(shard.header, tensors=tensors)))
        found = Checkpoint(self.folder, tuple(shards), self.index)
        found.written_as = {new: old for old, new in names.items()}
        return found

    def check_unchanged(self) -> None:
        for shard in self.shards.values():
            shard.check_unchanged()

    def close(self) -> None:
        """Tensors from tensor() stay valid: their mapping goes with the last of them."""
        self._maps.clear()
        for shard in self.shards.values():
            os.close(shard.descriptor)
        self.shards = {}

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def inspect(folder: Path, stem: str = "model") -> tuple[Checkpoint | None, list[Problem]]:
    """What can be opened, and everything that is wrong; no checkpoint when no shard could be
    read."""
    problems: list[Problem] = []
    index, names = None, [f"{stem}.safetensors"]
    if (folder / f"{stem}.safetensors.index.json").is_file():
        try:
            index = read_json(folder, f"{stem}.safetensors.index.json")
            names = _shard_names(index, folder, stem)
        except UsageError as error:
            return None, [Problem(f"{stem}.safetensors.index.json", error.message, error.remedy)]
    shards: list[Shard] = []
    for name in names:
        try:
            shards.append(open_shard(folder, name))
        except WeightsError as error:
            problems.append(Problem(name, error.message, error.remedy))
    problems += _duplicates(shards)
    if index is not None and len(shards) == len(names):
        problems += _against_index(shards, index["weight_map"], f"{stem}.safetensors.index.json")
    return (Checkpoint(folder, tuple(shards), index) if shards else None), problems


def open_shard(folder: Path, name: str) -> Shard:
    path = inside(folder, name)
    try:
        descriptor = open_descriptor(path)
    except FileNotFoundError:
        raise WeightsError(
            f"{folder.name}: {name} is missing", "download the model again, with all its files"
        ) from None
    except OSError as error:
        raise WeightsError(
            f"{folder.name}: {name} cannot be read ({error.strerror})",
            "correct the file's permissions",
        ) from None
    try:
        found = os.fstat(descriptor)
        with open(descriptor, "rb", closefd=False) as file:
            if is_pointer(path):
                raise WeightsError(f"{name} is a Git LFS pointer, not weights", pull(folder))
            header = read_header(file, found.st_size, name)
        return Shard(name, path, found.st_size, header, descriptor, file_state(found))
    except BaseException:
        os.close(descriptor)
        raise


def _shard_names(index: Mapping[str, Any], folder: Path, stem: str) -> list[str]:
    where = f"{stem}.safetensors.index.json"
    weight_map = index.get("weight_map")
    if (
        not isinstance(weight_map, dict)
        or not weight_map
        or not all(isinstance(v, str) for v in weight_map.values())
    ):
        raise WeightsError(f"{where}: weight_map must map tensor names to file names", REMEDY)
    names = sorted(set(weight_map.values()))
    if len(names) > _MOST_SHARDS:
        raise WeightsError(
            f"{where} names {len(names):,} files; hubkit takes {_MOST_SHARDS:,}", REMEDY
        )
    for name in names:
        inside(folder, name)
        if not name.endswith(".safetensors"):
            raise WeightsError(
                f"{where} names {shown(name)}, which is not a safetensors file", REMEDY
            )
    return names


def _duplicates(shards: list[Shard]) -> list[Problem]:
    seen: dict[str, str] = {}
    problems = []
    for shard in shards:
        for tensor in shard.header.tensors:
            first = seen.setdefault(tensor.name, shard.name)
            if first != shard.name:
                problems.append(
                    Problem(
                        shard.name,
                        f"tensor {shown(tensor.name)} is in {first} and again in {shard.name}",
                        REMEDY,
                    )
                )
    return problems


def _against_index(shards: list[Shard], weight_map: Mapping[str, str], where: str) -> list[Problem]:
    held = {tensor.name: shard.name for shard in shards for tensor in shard.header.tensors}
    problems = []
    for name, file in weight_map.items():
        if name not in held:
            problems.append(
                Problem(where, f"{where}: tensor {shown(name)} is missing from {file}", REMEDY)
            )
        elif held[name] != file:
            problems.append(
                Problem(
                    where,
                    f"{where}: tensor {shown(name)} is in {held[name]}, not in {file}",
                    REMEDY,
                )
            )
    for name in sorted(held.keys() - weight_map.keys()):
        problems.append(
            Problem(where, f"{where}: tensor {shown(name)} of {held[name]} is not named", REMEDY)
        )
    return problems
