"""Printed digits as training pictures: matplotlib's bundled fonts, random in size, place, colour,
slant and noise."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any

FONTS = (
    *(
        "DejaVuSans",
        "DejaVuSans-Bold",
        "DejaVuSans-Oblique",
        "DejaVuSans-BoldOblique",
        "DejaVuSansDisplay",
        "DejaVuSansMono",
    ),
    *(
        "DejaVuSansMono-Bold",
        "DejaVuSerif",
        "DejaVuSerif-Bold",
        "DejaVuSerif-Italic",
        "DejaVuSerifDisplay",
    ),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "cmr10", "cmss10", "cmtt10", "cmb10"),
)


@cache
def _font(name: str, size: int) -> Any:
    from matplotlib import get_data_path
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", f"{name}.ttf")), size)


def draw(digit: int, width: int, height: int, dice: random.Random, variety: float = 1.0) -> Any:
    """An RGB picture of `width` x `height` pixels with the digit on it; `variety` from 0 (large,
    centred, clean) to 1."""
    from PIL import Image, ImageDraw

    ink, paper = _colours(dice, variety)
    picture = Image.new("RGB", (width, height), paper)
    size = dice.uniform(0.9 - 0.35 * variety, 0.9 + 0.25 * variety)
    font = _font(dice.choice(FONTS), round(min(width, height) * size))
    left, top, right, bottom = font.getbbox(str(digit))
    place = (
        _place(width, right - left, dice, variety) - left,
        _place(height, bottom - top, dice, variety) - top,
    )
    ImageDraw.Draw(picture).text(place, str(digit), font=font, fill=ink)
    angle = 12 * variety * dice.uniform(-1, 1)
    return _noisy(
        picture.rotate(angle, Image.Resampling.BILINEAR, fillcolor=paper),
        18 * variety * dice.random(),
        dice,
    )


def _place(room: int, extent: int, dice: random.Random, variety: float) -> float:
    """Where a glyph of `extent` pixels begins: about the middle when it does not fit."""
    shift = 0.45 * variety * dice.uniform(-1, 1) if extent < room else 0.0
    return (0.5 + shift) * (room - extent)


def _colours(dice: random.Random, variety: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ink and paper, at least 90 grey levels apart, either one the darker."""
    ink, paper = (
        ((255, 255, 255), (0, 0, 0)) if dice.random() < 0.5 else ((0, 0, 0), (255, 255, 255))
    )
    while dice.random() < variety:
        first, second = (tuple(dice.randrange(256) for _ in range(3)) for _ in range(2))
        if abs(sum(first) - sum(second)) > 270:
            return first, second
    return ink, paper


def _noisy(picture: Any, strength: float, dice: random.Random) -> Any:
    import numpy
    from PIL import Image

    values = numpy.asarray(picture, dtype=numpy.float32)
    noise = numpy.random.default_rng(dice.getrandbits(32)).standard_normal(
        values.shape, dtype=numpy.float32
    )
    return Image.fromarray((values + noise * strength).clip(0, 255).astype(numpy.uint8))
