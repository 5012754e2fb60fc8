"""Which files Git LFS keeps."""

from __future__ import annotations

LFS_SUFFIXES = (".safetensors", ".model")
LFS_BYTES = 1_000_000
"""Hugging Face rejects a push with more than 10 MiB outside LFS. Over its API it takes files of
these suffixes, and binary ones from about 1 MB on, into LFS by itself and adds them to
.gitattributes: done beforehand, a release is the same on every hub."""
_NAMED = (".gguf",)
"""As well, each by its path, since few releases have any."""


def uses_lfs(path: str, size: int) -> bool:
    """Whether Git LFS keeps a file of `size` bytes: the one rule behind .gitattributes, manifest
    and staging."""
    return path.endswith((*LFS_SUFFIXES, *_NAMED)) or size > LFS_BYTES
