"""A run folder that was damaged: what lies there is made again, and nothing hangs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from case import Case, project

KIND = "damaged run folders"

_UNTIL = ("release", "release.yaml", "--until", "prepare")


def _replaced(path: Path, put: Callable[[Path], object]) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    put(path)


SHAPES: dict[str, Callable[[Path], object]] = {
    "a named pipe": lambda path: os.mkfifo(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "deep": lambda path: path.write_text("[" * 100_000),
    "a key twice": lambda path: path.write_text('{"planned": 1, "planned": 2}'),
    "Latin-1": lambda path: path.write_bytes(b"\xe9"),
    "a list": lambda path: path.write_text("[]"),
    "empty": lambda path: path.write_text(""),
    "5,000 digits": lambda path: path.write_text('{"planned": ' + "9" * 5000 + "}"),
}


def _damaged(name: str, put: Callable[[Path], object]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        import hubkit.__main__

        project(folder)
        here = Path.cwd()
        os.chdir(folder)
        output = os.open(os.devnull, os.O_WRONLY)
        os.dup2(output, 1)
        os.dup2(output, 2)
        if hubkit.__main__.run(list(_UNTIL)):
            raise RuntimeError("the release was not prepared")
        os.chdir(here)
        (run,) = (folder / ".hubkit").iterdir()
        _replaced(run / name, put)

    return make


CASES = [
    Case(f"{name} as {shape}", _UNTIL, _damaged(name, put), exits=0)
    for name in ("plan.json", "digests.json", "prepare/seal.json")
    for shape, put in SHAPES.items()
]
