"""Prepared records as files: hubkit's own form for its stages, LLaVA's for people and for other
trainers."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..files.disk import reflink
from ..sdk import Record

_LLAVA = ("id", "image", "conversations")


def own_line(record: Record) -> str:
    """As `hubkit.sdk.write_jsonl` writes it."""
    return json.dumps(asdict(record), ensure_ascii=False, sort_keys=True) + "\n"


def llava_line(record: Record) -> str:
    item: dict[str, Any] = {"id": record.id}
    if record.images:
        item["image"] = record.images[0] if len(record.images) == 1 else list(record.images)
    item["conversations"] = [
        part
        for turn in record.turns
        for part in ({"from": "human", "value": turn.prompt}, {"from": "gpt", "value": turn.answer})
    ]
    item |= {key: value for key, value in record.meta.items() if key not in _LLAVA}
    return json.dumps(item, ensure_ascii=False) + "\n"


def spool(records: Iterable[Record], path: Path, line: Callable[[Record], str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(map(line, records))


def deal(spooled: Path, held: set[int], train: Path, holdout: Path, *, repeat: int = 1) -> None:
    """The lines of `spooled` into the two files; those to train on `repeat` times over, each round
    with ids of its own."""
    with train.open("wb") as training, holdout.open("wb") as kept:
        for number, line in enumerate(_lines(spooled)):
            (kept if number in held else training).write(line)
        for round_ in range(2, repeat + 1):
            for number, line in enumerate(_lines(spooled)):
                if number not in held:
                    training.write(_again(line, round_))


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as lines:
        yield from lines


def _again(line: bytes, round_: int) -> bytes:
    data = json.loads(line)
    data["id"] = f"{data['id']}#{round_}"
    return (json.dumps(data, ensure_ascii=False) + "\n").encode()


@contextmanager
def fresh_folder(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` when the block ends well, and is removed when it does not.

    Raises:
        UsageError: `out` is there and not an empty folder.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} is not empty", "name a folder that does not exist yet")
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        with suppress(FileNotFoundError):
            out.rmdir()
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def image_names(lines: Path) -> Iterator[str]:
    """The paths of the images in LLaVA lines."""
    for line in _lines(lines):
        value = json.loads(line).get("image", [])
        yield from [value] if isinstance(value, str) else value


def copy_pictures(names: Iterable[str], folder: Path, target: Path) -> None:
    """The named images of `folder` below `target`, as shared blocks where the file system has
    them."""
    for name in names:
        place = target / name
        if place.exists():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        source = Path(os.path.realpath(folder / name))
        try:
            reflink(source, place)
        except OSError:
            place.unlink(missing_ok=True)
            shutil.copyfile(source, place)
