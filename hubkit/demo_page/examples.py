"""Pictures and prompts to start from: the user's own records, or two that are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..errors import DataError, UsageError
from ..sdk import IMAGE, Record, read_records
from ..sdk.pictures import spelled

MOST = 12


@dataclass(frozen=True)
class Example:
    """`text` without image marks: the pictures stand before it, as the models were trained."""

    text: str
    pictures: tuple[Path, ...]


def from_records(file: Path, images: Path) -> tuple[Example, ...]:
    """The first turns of the first MOST records.

    Raises:
        UsageError: the file cannot be read.
        DataError: a line is no record, or a picture is missing or outside `images`.
    """
    try:
        records = list(islice(read_records(file), MOST))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{file} cannot be read: {error}", "name a records file (JSON Lines, UTF-8)"
        ) from None
    if not records:
        raise DataError(
            f"{file} holds no records", "name a file with at least one, or leave --examples out"
        )
    return tuple(_example(record, images.resolve(), file) for record in records)


def _example(record: Record, images: Path, file: Path) -> Example:
    prompt = record.turns[0].prompt if record.turns else ""
    pictures = [
        (images / spelled(images, name)).resolve() for name in record.images[: prompt.count(IMAGE)]
    ]
    for picture, name in zip(pictures, record.images, strict=False):
        if not picture.is_file() or not picture.is_relative_to(images):
            raise DataError(
                f"{file.name}, record {record.id}: no picture {name} in {images}",
                "correct --images",
            )
    return Example(prompt.replace(IMAGE, "").strip(), tuple(pictures))


def drawn(folder: Path) -> tuple[Example, ...]:
    """Two pictures, drawn into `folder`, and questions in both languages."""
    from PIL import Image, ImageDraw

    shapes = Image.new("RGB", (448, 448), "#f8fafc")
    pen = ImageDraw.Draw(shapes)
    pen.ellipse((48, 96, 208, 256), fill="#ef4444")
    pen.rectangle((240, 96, 400, 256), fill="#3b82f6")
    pen.polygon(((224, 280), (128, 416), (320, 416)), fill="#22c55e")
    bars = Image.new("RGB", (640, 448), "white")
    pen = ImageDraw.Draw(bars)
    pen.line((64, 32, 64, 400, 608, 400), fill="#334155", width=6)
    for place, height in enumerate((120, 200, 160, 320)):
        left = 104 + 128 * place
        pen.rectangle(
            (left, 400 - height, left + 80, 397),
            fill=("#6366f1", "#0ea5e9", "#14b8a6", "#f59e0b")[place],
        )
    paths = folder / "shapes.png", folder / "bars.png"
    shapes.save(paths[0])
    bars.save(paths[1])
    return (
        Example("Which shapes do you see, and in which colours?", (paths[0],)),
        Example("哪一根柱子最高？", (paths[1],)),
        Example("What do these two pictures have in common?", paths),
    )
