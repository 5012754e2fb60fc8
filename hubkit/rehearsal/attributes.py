"""Which files .gitattributes gives to Git LFS."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable

_LINE = "{pattern} filter=lfs diff=lfs merge=lfs -text\n"
_SUFFIXES = (
    *(
        "7z",
        "arrow",
        "bin",
        "bz2",
        "ckpt",
        "ftz",
        "gguf",
        "gz",
        "h5",
        "joblib",
        "model",
        "msgpack",
        "npy",
        "npz",
        "onnx",
    ),
    *(
        "ot",
        "parquet",
        "pb",
        "pickle",
        "pkl",
        "pt",
        "pth",
        "rar",
        "safetensors",
        "tar",
        "tflite",
        "tgz",
        "wasm",
        "xz",
        "zip",
    ),
)
"""Much as in a new repository on the hubs."""


def default() -> bytes:
    """A new repository's .gitattributes."""
    return "".join(_LINE.format(pattern=f"*.{suffix}") for suffix in _SUFFIXES).encode()


def tracker(text: bytes) -> Callable[[str], bool]:
    """Whether the file .gitattributes with this text gives a path to Git LFS (patterns only, no
    macros)."""
    patterns = []
    for line in text.decode(errors="replace").splitlines():
        fields = line.split()
        if "filter=lfs" in fields[1:]:
            patterns.append(fields[0].replace("[[:space:]]", " "))
    return lambda path: any(_matches(path, pattern) for pattern in patterns)


def with_paths(text: bytes, paths: Iterable[str]) -> bytes:
    """The text, with a line for each path that it does not track yet: the hubs add those when a
    large file is committed over an API, as a clone would get the pointer otherwise."""
    tracked = tracker(text)
    lacking = [path for path in paths if not tracked(path)]
    if lacking and text and not text.endswith(b"\n"):
        text += b"\n"
    return text + "".join(_LINE.format(pattern=_quoted(path)) for path in lacking).encode()


def _quoted(path: str) -> str:
    escaped = "".join(f"\\{c}" if c in "*?[]" else c for c in path).replace(" ", "[[:space:]]")
    return escaped if "/" in path else f"/{escaped}"


def _matches(path: str, pattern: str) -> bool:
    pattern = (
        pattern.replace("\\[", "[[]")
        .replace("\\]", "]")
        .replace("\\*", "[*]")
        .replace("\\?", "[?]")
    )
    if "/" in pattern.strip("/") or pattern.startswith("/"):
        return fnmatch.fnmatchcase(path, pattern.lstrip("/"))
    return fnmatch.fnmatchcase(path.rsplit("/", 1)[-1], pattern)
