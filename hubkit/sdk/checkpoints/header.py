"""The safetensors file format: eight bytes of length (little-endian), a JSON header, then the
tensors' bytes without gaps.

Source: https://github.com/huggingface/safetensors#format. A file is untrusted; nothing is believed
before it is checked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeGuard

from .. import json_text
from ..errors import WeightsError
from ..excerpt import shown

BITS: Mapping[str, int] = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "C64": 64,
}
"""Bits an element takes, by the format's name of the dtype."""

MAX_HEADER = 100_000_000
"""The format's own limit in bytes."""
_MAX_ITEMS = 3_000_000
"""Commas and brackets: ten a tensor; a whole model of a trillion parameters has 70,000 tensors."""
_MAX_DIMENSIONS = 64
"""torch's own limit."""
_LARGEST = 1 << 63

REMEDY = "download the file again and compare its digest; hubkit does not repair weights"


@dataclass(frozen=True)
class TensorInfo:
    """`start` and `end` are byte positions in the file `shard`; `shape` may be empty (a scalar).
    `trainable` is the requires_grad with which torch.save stored a parameter; None where the file
    does not say."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    shard: str
    start: int
    end: int
    trainable: bool | None = None

    @property
    def size(self) -> int:
        return self.end - self.start

    @property
    def rows(self) -> int:
        """Length along dimension 0; a scalar has one row."""
        return self.shape[0] if self.shape else 1

    @property
    def row_size(self) -> int:
        """Bytes a row takes."""
        return self.size // self.rows if self.rows else 0


@dataclass(frozen=True)
class Header:
    """`raw` is the length and the JSON as they lie in the file; `tensors` are in the order of their
    bytes."""

    raw: bytes
    tensors: tuple[TensorInfo, ...]
    metadata: Mapping[str, str]


def read_header(file: BinaryIO, size: int, shard: str) -> Header:
    """Reads and checks the header of a safetensors file of `size` bytes, standing at its start.

    Raises:
        WeightsError: the file is truncated, or the header is malformed, lies about offsets, or
            leaves gaps or overlaps.
    """
    prefix = file.read(8)
    if len(prefix) < 8:
        raise WeightsError(
            f"{shard}: truncated: {size} bytes are too few for a safetensors file", REMEDY
        )
    length = int.from_bytes(prefix, "little")
    if length > MAX_HEADER:
        raise WeightsError(
            f"{shard}: not a safetensors file: the header would be {length} bytes long", REMEDY
        )
    if 8 + length > size:
        raise WeightsError(
            f"{shard}: truncated within its header: {8 + length - size} bytes are missing", REMEDY
        )
    raw = prefix + file.read(length)
    entries = _parse(raw[8:], shard)
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise WeightsError(f"{shard}: __metadata__ must map names to text", REMEDY)
    tensors = sorted(
        (_entry(name, entry, shard, len(raw)) for name, entry in entries.items()),
        key=lambda t: (t.start, t.end),
    )
    _check_ranges(tensors, len(raw), size, shard)
    return Header(raw, tuple(tensors), metadata)


def _parse(text: bytes, shard: str) -> dict[str, Any]:
    try:
        parsed = json_text.parse(text.decode("utf-8"), _MAX_ITEMS)
    except ValueError as error:
        raise WeightsError(f"{shard}: the header is not JSON ({error})", REMEDY) from None
    if not isinstance(parsed, dict):
        raise WeightsError(f"{shard}: the header is not a JSON object", REMEDY)
    return parsed


def _entry(name: str, entry: Any, shard: str, data: int) -> TensorInfo:
    where = f"{shard}: tensor {shown(name)}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise WeightsError(
            f"{where} must have dtype, shape and data_offsets and nothing else", REMEDY
        )
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise WeightsError(
            f"{where} has the unknown dtype {shown(dtype)} (known: {', '.join(BITS)})", REMEDY
        )
    if not _sizes(shape) or len(shape) > _MAX_DIMENSIONS or math.prod(shape) >= _LARGEST:
        raise WeightsError(f"{where} has the impossible shape {shown(shape)}", REMEDY)
    if not _sizes(offsets) or len(offsets) != 2:
        raise WeightsError(f"{where} has the impossible data_offsets {shown(offsets)}", REMEDY)
    bits = math.prod(shape) * BITS[dtype]
    if bits % 8 or offsets[1] - offsets[0] != bits // 8:
        claim = f"{dtype} {shape} takes {bits / 8:g} bytes"
        raise WeightsError(
            f"{where}: {claim}, its data_offsets span {offsets[1] - offsets[0]}", REMEDY
        )
    return TensorInfo(name, dtype, tuple(shape), shard, data + offsets[0], data + offsets[1])


def _sizes(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < _LARGEST for n in value)


def _check_ranges(tensors: list[TensorInfo], data: int, size: int, shard: str) -> None:
    at, before = data, ""
    for tensor in tensors:
        if tensor.start < at:
            raise WeightsError(
                f"{shard}: tensors {shown(before)} and {shown(tensor.name)} overlap by "
                f"{at - tensor.start} bytes",
                REMEDY,
            )
        if tensor.start > at:
            raise WeightsError(
                f"{shard}: {tensor.start - at} bytes before tensor {shown(tensor.name)} belong to "
                "no tensor",
                REMEDY,
            )
        at, before = tensor.end, tensor.name
    if at > size:
        cut = next(t.name for t in tensors if t.end > size)
        raise WeightsError(
            f"{shard}: truncated: {at - size} of {at} bytes are missing, from tensor {shown(cut)} "
            "on",
            REMEDY,
        )
    if at < size:
        raise WeightsError(
            f"{shard}: {size - at} bytes after the last tensor belong to no tensor", REMEDY
        )


def build_header(
    tensors: Iterable[tuple[str, str, tuple[int, ...]]], shard: str, metadata: Mapping[str, str]
) -> Header:
    """The header of a file that holds (name, dtype, shape) in the order given; padded so that the
    data starts at a multiple of 8, as the reference implementation does."""
    entries: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    at, placed = 0, []
    for name, dtype, shape in tensors:
        end = at + math.prod(shape) * BITS[dtype] // 8
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        placed.append((name, dtype, shape, at, end))
        at = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    raw = len(text).to_bytes(8, "little") + text
    infos = tuple(
        TensorInfo(n, d, s, shard, len(raw) + a, len(raw) + e) for n, d, s, a, e in placed
    )
    return Header(raw, infos, dict(metadata))
