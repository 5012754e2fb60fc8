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
from typing import Any, BinaryIO, NoReturn

from ..errors import WeightsError

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
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise WeightsError(f"{shard}: the header names {key!r} twice", REMEDY)
            found[key] = value
        return found

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        parsed = json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{shard}: the header is not JSON ({error})", REMEDY) from None
    if not isinstance(parsed, dict):
        raise WeightsError(f"{shard}: the header is not a JSON object", REMEDY)
    return parsed


def _entry(name: str, entry: Any, shard: str, data: int) -> TensorInfo:
    where = f"{shard}: tensor {name!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise WeightsError(
            f"{where} must have dtype, shape and data_offsets and nothing else", REMEDY
        )
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise WeightsError(
            f"{where} has the unknown dtype {dtype!r} (known: {', '.join(BITS)})", REMEDY
        )
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise WeightsError(f"{where} has the impossible shape {str(shape)[:80]}", REMEDY)
    if (
        not isinstance(offsets, list)
        or len(offsets) != 2
        or not all(type(n) is int and n >= 0 for n in offsets)
    ):
        raise WeightsError(f"{where} has the impossible data_offsets {str(offsets)[:80]}", REMEDY)
    bits = math.prod(shape) * BITS[dtype]
    if bits % 8 or offsets[1] - offsets[0] != bits // 8:
        claim = f"{dtype} {shape} takes {bits / 8:g} bytes"
        raise WeightsError(
            f"{where}: {claim}, its data_offsets span {offsets[1] - offsets[0]}", REMEDY
        )
    return TensorInfo(name, dtype, tuple(shape), shard, data + offsets[0], data + offsets[1])


def _check_ranges(tensors: list[TensorInfo], data: int, size: int, shard: str) -> None:
    at, before = data, ""
    for tensor in tensors:
        if tensor.start < at:
            raise WeightsError(
                f"{shard}: tensors {before!r} and {tensor.name!r} overlap by {at - tensor.start} "
                "bytes",
                REMEDY,
            )
        if tensor.start > at:
            raise WeightsError(
                f"{shard}: {tensor.start - at} bytes before tensor {tensor.name!r} belong to no "
                "tensor",
                REMEDY,
            )
        at, before = tensor.end, tensor.name
    if at > size:
        cut = next(t.name for t in tensors if t.end > size)
        raise WeightsError(
            f"{shard}: truncated: {at - size} of {at} bytes are missing, from tensor {cut!r} on",
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
