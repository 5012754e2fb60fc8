"""Dynamic tiling: how one picture becomes the square tiles that an InternVL-like model sees.

The rule is InternVL's: of all grids (columns, rows) with min_tiles <= columns*rows <= max_tiles take the one whose aspect
ratio is closest to the picture's; on a tie take the larger grid when the picture's area exceeds half of that grid's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Vision:
    """What a model expects of pictures. `tile` is in pixels; `mean` and `std` are per RGB channel of values in 0..1;
    `start`, `context`, `end` are the special tokens around and for the image positions."""

    tile: int
    tokens_per_tile: int
    min_tiles: int
    max_tiles: int
    thumbnail: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    start: str = "<img>"
    context: str = "<IMG_CONTEXT>"
    end: str = "</img>"

    def placeholder(self, tiles: int) -> str:
        """The text that stands for a picture of `tiles` tiles in the prompt."""
        return f"{self.start}{self.context * (self.tokens_per_tile * tiles)}{self.end}"


def grid(width: int, height: int, vision: Vision) -> tuple[int, int]:
    """(columns, rows) for a picture of the given size in pixels."""
    shapes = {
        (columns, rows)
        for columns in range(1, vision.max_tiles + 1)
        for rows in range(1, vision.max_tiles + 1)
        if vision.min_tiles <= columns * rows <= vision.max_tiles
    }
    aspect = width / height
    best, nearest = (1, 1), float("inf")
    for columns, rows in sorted(shapes, key=lambda shape: (shape[0] * shape[1], shape)):
        distance = abs(aspect - columns / rows)
        if distance < nearest:
            best, nearest = (columns, rows), distance
        elif distance == nearest and width * height > 0.5 * vision.tile**2 * columns * rows:
            best = (columns, rows)
    return best


def tiles(picture: Any, vision: Vision) -> list[Any]:
    """The RGB tiles of a PIL image, row by row, each `tile` x `tile` pixels, the thumbnail last when there is one."""
    picture = picture.convert("RGB")
    columns, rows = grid(picture.width, picture.height, vision)
    side, bicubic = vision.tile, 3
    sheet = picture.resize((side * columns, side * rows), bicubic)
    parts = [
        sheet.crop((side * column, side * row, side * (column + 1), side * (row + 1)))
        for row in range(rows)
        for column in range(columns)
    ]
    if vision.thumbnail and len(parts) > 1:
        parts.append(picture.resize((side, side), bicubic))
    return parts
