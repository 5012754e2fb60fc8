"""What every check is made on: hubkit's tiny model, a few pictures of digits, a release folder."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import api
from ..models import Model, open_model
from ..sdk import IMAGE, GenerateInput, PublishInput, Record, SilentRun, TrainInput, Turn, write_jsonl
from ..weights.convert import to_native

BASE = Path(__file__).resolve().parent.parent / "quickstart" / "base"
RECORDS = 6


def model(folder: Path) -> tuple[Model, Path]:
    """The official folder and its native view."""
    opened = open_model(BASE)
    native = folder / "native"
    if not native.exists():
        to_native(opened.folder, native, opened.family, SilentRun())
    return opened, native


def records(folder: Path) -> tuple[Path, Path]:
    """A records file with pictures of one and of two images, and without; and the images' folder."""
    from ..quickstart.glyphs import draw

    images, file, dice = folder / "images", folder / "records.jsonl", random.Random(7)
    images.mkdir(exist_ok=True)
    for digit in range(RECORDS + 1):
        draw(digit, 56 + 28 * (digit % 2), 56, dice).save(images / f"{digit}.png")
    made = [
        Record(str(n), (f"{n}.png",), (Turn(f"{IMAGE}\nWhich digit is this?", str(n)), Turn("Even or odd? 奇偶？", "odd")))
        for n in range(RECORDS - 1)
    ]
    two = (f"{RECORDS - 1}.png", f"{RECORDS}.png")
    made.append(Record("two", two, (Turn(f"{IMAGE}{IMAGE}\nWhich digits?", "5 and 6"),)))
    write_jsonl(file, made)
    return file, images


def training(folder: Path, options: Mapping[str, Any]) -> TrainInput:
    opened, native = model(folder)
    file, images = records(folder)
    return TrainInput(
        base=opened.folder, native=native, groups=opened.family.native(opened.config).groups, vision=opened.vision,
        records=file, images=images, output=folder / "train", scratch=folder / "scratch", seed=0, options=options,
    )  # fmt: skip


def questions(folder: Path, options: Mapping[str, Any]) -> GenerateInput:
    opened, native = model(folder)
    file, images = records(folder)
    return GenerateInput(
        model=opened.folder, native=native, vision=opened.vision, records=file, images=images,
        output=folder / "answers", max_new_tokens=8, options=options,
    )  # fmt: skip


def release(folder: Path, target: str, options: Mapping[str, Any], extra: str = "") -> PublishInput:
    """A tracked release of the tiny model; with `extra` text in it, another one under the same tag."""
    from ..packaging import manifest

    place = folder / f"release{'-other' if extra else ''}" / "InternVL2-Check"
    shutil.copytree(BASE, place, ignore=shutil.ignore_patterns("__pycache__"))
    (place / "README.md").write_text(f"---\nlicense: apache-2.0\n---\n\n# InternVL2-Check\n{extra}\n", encoding="utf-8")
    tracked = api.track(place, name="InternVL2-Check", tag="v1.0.0")
    return PublishInput(
        place, manifest.published_files(place), tracked.commit, "v1.0.0", "InternVL2-Check v1.0.0", target, dict(options)
    )
