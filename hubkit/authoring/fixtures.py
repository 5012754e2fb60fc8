"""What every check uses: hubkit's tiny model, a few pictures of digits, a release folder."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..packaging.manifest import release_date
from ..packaging.track import track_release
from ..sdk import (
    IMAGE,
    ExportInput,
    GenerateInput,
    PublishInput,
    Record,
    ServeInput,
    SilentRun,
    TrainInput,
    Turn,
    write_jsonl,
)
from ..sdk.testing.cases import REHEARSAL_TOKEN, HubCase
from ..weights.convert import to_native
from ..weights.model import Model, open_model

BASE = Path(__file__).resolve().parent.parent / "quickstart" / "base"
RECORDS = 6


def model(folder: Path) -> tuple[Model, Path]:
    """The official folder and its native view."""
    opened = open_model(BASE)
    native = folder / "native"
    if not native.exists():
        to_native(opened, native, SilentRun())
    return opened, native


def records(folder: Path) -> tuple[Path, Path]:
    """A records file with pictures of one and of two images, and without; and the images'
    folder."""
    images, file = folder / "images", folder / "records.jsonl"
    images.mkdir(exist_ok=True)
    for digit in range(RECORDS + 1):
        _picture(digit, 56 + 28 * (digit % 2), 56).save(images / f"{digit}.png")
    made = [
        Record(
            str(n),
            (f"{n}.png",),
            (Turn(f"{IMAGE}\nWhich digit is this?", str(n)), Turn("Even or odd? 奇偶？", "odd")),
        )
        for n in range(RECORDS - 1)
    ]
    two = (f"{RECORDS - 1}.png", f"{RECORDS}.png")
    made.append(Record("two", two, (Turn(f"{IMAGE}{IMAGE}\nWhich digits?", "5 and 6"),)))
    write_jsonl(file, made)
    return file, images


def _picture(digit: int, width: int, height: int) -> Any:
    from PIL import Image, ImageDraw, ImageFont

    picture, middle = Image.new("RGB", (width, height), "white"), (width / 2, height / 2)
    font = ImageFont.load_default(0.7 * height)
    ImageDraw.Draw(picture).text(middle, str(digit), "black", font, anchor="mm")
    return picture


def training(folder: Path, options: Mapping[str, Any]) -> TrainInput:
    opened, native = model(folder)
    file, images = records(folder)
    return TrainInput(
        base=opened.folder,
        native=native,
        groups=opened.family.native(opened.config).groups,
        vision=opened.vision,
        records=file,
        images=images,
        output=folder / "train",
        scratch=folder / "scratch",
        seed=0,
        options=options,
    )


def questions(folder: Path, options: Mapping[str, Any]) -> GenerateInput:
    opened, native = model(folder)
    file, images = records(folder)
    return GenerateInput(
        model=opened.folder,
        native=native,
        vision=opened.vision,
        records=file,
        images=images,
        output=folder / "answers",
        max_new_tokens=8,
        options=options,
    )


def exporting(folder: Path, options: Mapping[str, Any]) -> ExportInput:
    folder.mkdir(parents=True, exist_ok=True)
    opened, native = model(folder)
    return ExportInput(
        model=opened.folder,
        native=native,
        vision=opened.vision,
        name="InternVL2-Check",
        output=folder / "exported",
        options=options,
    )


def serving(folder: Path, options: Mapping[str, Any]) -> ServeInput:
    opened, native = model(folder)
    output, key = folder / "served", folder / "key"
    output.mkdir()
    key.write_text(secrets.token_urlsafe(24), "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return ServeInput(
        model=opened.folder,
        native=native,
        vision=opened.vision,
        name="InternVL2-Check",
        host="127.0.0.1",
        port=port,
        output=output,
        options=options,
        api_key_file=key,
    )


@contextmanager
def placed(case: HubCase, folder: Path) -> Iterator[HubCase]:
    """`case` with the address of a local hub in it, when it asks for one; the hub runs until the
    block ends."""
    if not case.rehearsal:
        yield case
        return
    from ..rehearsal import serve

    os.environ[REHEARSAL_TOKEN] = token = secrets.token_urlsafe(24)
    with serve(folder, token=token) as hub:
        options = {
            key: value.replace("{url}", hub.url) if isinstance(value, str) else value
            for key, value in case.options.items()
        }
        yield replace(case, target=case.target.replace("{url}", hub.url), options=options)


def release(folder: Path, target: str, options: Mapping[str, Any], extra: str = "") -> PublishInput:
    """A tracked release of the tiny model; with `extra` text in it, another one under the same
    tag."""
    place = folder / f"release{'-other' if extra else ''}" / "InternVL2-Check"
    shutil.copytree(BASE, place, ignore=shutil.ignore_patterns("__pycache__"))
    (place / "README.md").write_text(
        f"---\nlicense: apache-2.0\n---\n\n# InternVL2-Check\n{extra}\n", encoding="utf-8"
    )
    tracked, listed = track_release(
        place,
        open_model(place),
        name="InternVL2-Check",
        tag="v1.0.0",
        created=release_date(),
        author_name="hubkit",
        author_email="hubkit@localhost",
        digests={},
    )
    return PublishInput(
        place,
        listed.released(),
        tracked.commit,
        "v1.0.0",
        "InternVL2-Check v1.0.0",
        target,
        dict(options),
    )
