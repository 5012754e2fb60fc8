"""Folders of GGUF files: known by their content, judged by their headers (ggml/docs/gguf.md)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from ..sdk import Problem

_HEADER = struct.Struct("<4sIQQ")
_VERSIONS = (2, 3)


def is_gguf(folder: Path) -> bool:
    """Whether the weights in `folder` are GGUF files and nothing else."""
    return any(folder.glob("*.gguf")) and not any(folder.glob("*.safetensors*"))


def gguf_problems(folder: Path) -> Iterator[Problem]:
    """A file that is none, or holds no tensors."""
    for path in sorted(folder.glob("*.gguf")):
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
        remedy = "export the model again"
        if len(head) < _HEADER.size or head[:4] != b"GGUF":
            yield Problem(path.name, "not a GGUF file by its first bytes", remedy)
            continue
        _, version, tensors, _ = _HEADER.unpack(head)
        if version not in _VERSIONS:
            yield Problem(path.name, f"GGUF of version {version}, not 2 or 3", remedy)
        elif not tensors:
            yield Problem(path.name, "a GGUF file without tensors", remedy)
