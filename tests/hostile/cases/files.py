"""Files that are no files, or not of the size or the text that they should be."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from case import CHECK, CHECK_ADAPTER, MERGE, PLAN, Case, adapter, base, both, release

KIND = "files"

_FINDING = 3


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = os.open(path.parent, os.O_RDONLY)
        one.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _leaving(path: Path) -> None:
    outside = path.parent.parent / "outside"
    outside.write_text("{}")
    path.symlink_to(outside)


def _folder(path: Path) -> None:
    path.mkdir()


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(3 << 30)


def _latin(path: Path) -> None:
    path.write_bytes(b'{"a": "\xe9"}')


def _surrogate(path: Path) -> None:
    path.write_text('{"architectures": ["\\ud800"], "peft_type": "\\udfff"}')


def _empty(path: Path) -> None:
    path.touch()


SHAPES: dict[str, Callable[[Path], None]] = {
    "a named pipe": _pipe,
    "a socket": _socket,
    "a device": _device,
    "a link to itself": _loop,
    "a link out of the folder": _leaving,
    "a folder": _folder,
    "3 GB of zeros": _huge,
    "Latin-1": _latin,
    "half a surrogate pair": _surrogate,
    "empty": _empty,
}


def _in_base(name: str, shape: Callable[[Path], None]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        both(folder)
        path = folder / "base" / name
        path.unlink(missing_ok=True)
        shape(path)

    return make


def _in_adapter(name: str, shape: Callable[[Path], None]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        base(folder)
        path = adapter(folder) / name
        path.unlink()
        shape(path)

    return make


def _instead(name: str, shape: Callable[[Path], None]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        base(folder)
        shape(folder / name)

    return make


def _key(shape: Callable[[Path], None]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        release(folder, "name: x\n")
        shape(folder / "key")

    return make


def _nothing(folder: Path) -> None:
    return None


SERVE = ("serve", "base", "--api-key-file", "key")
PREPARE = ("prepare", "data.json", "out")
_COMMANDS = (
    (("check",), ()),
    (("merge",), ("adapter", "out")),
    (("convert",), ("out",)),
    (("prepare",), ("out",)),
    (("plan",), ()),
    (("init", "--template"), ()),
    (("track",), ()),
    (("diff",), ("b",)),
    (("serve",), ()),
)
CASES = [
    *(
        Case(f"{name} as {shape}", MERGE, _in_base(name, make))
        for name in ("config.json", "model.safetensors")
        for shape, make in SHAPES.items()
    ),
    *(
        Case(f"{name} as {shape}", CHECK, _in_base(name, make), exits=_FINDING)
        for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json")
        for shape, make in SHAPES.items()
        if (name, shape) != ("generation_config.json", "half a surrogate pair")
    ),
    *(
        Case(f"{name} as {shape}", MERGE, _in_adapter(name, make))
        for name in ("adapter_config.json", "adapter_model.safetensors")
        for shape, make in SHAPES.items()
    ),
    *(
        Case(f"iter_1.pth as {shape}", ("merge", "base", "x.pth", "out"), _instead("x.pth", make))
        for shape, make in SHAPES.items()
    ),
    *(
        Case(f"data as {shape}", PREPARE, _instead("data.json", make))
        for shape, make in SHAPES.items()
        if shape not in ("a link out of the folder",)
    ),
    *(
        Case(f"release.yaml as {shape}", PLAN, _instead("release.yaml", make))
        for shape, make in SHAPES.items()
    ),
    *(
        Case(
            f"a table as {shape}",
            ("prepare", "data.csv", "out", "--format", "hf_datasets"),
            _instead("data.csv", make),
        )
        for shape, make in SHAPES.items()
        if shape in ("a named pipe", "a device", "a folder", "Latin-1")
    ),
    *(
        Case(f"a key file as {shape}", SERVE, _key(make))
        for shape, make in SHAPES.items()
        if shape != "half a surrogate pair"
    ),
    *(
        Case(f"{' '.join(command)} of {len(name)} characters", (*before, name, *after), _nothing)
        for name in ("n" * 300, "n/" * 2500)
        for before, after in _COMMANDS
        for command in [(*before, "a name", *after)]
    ),
    Case(
        "an adapter's settings as a pipe, checked",
        CHECK_ADAPTER,
        _in_adapter("adapter_config.json", _pipe),
        exits=2,
    ),
]
