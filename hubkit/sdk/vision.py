"""Dynamic tiling: how one picture becomes the square tiles that an InternVL-like model sees.

The rule is InternVL's: of all grids (columns, rows) with min_tiles <= columns*rows <= max_tiles
take the one whose aspect ratio is closest to the picture's; on a tie take the larger grid when the
picture's area exceeds half of that grid's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .errors import UsageError
from .pictures import PictureFile, as_shown


@dataclass(frozen=True)
class Vision:
    """What a model expects of pictures. `tile` is in pixels; `mean` and `std` are per RGB channel
    of values in 0..1; `start`, `context`, `end` are the special tokens around and for the image
    positions; `start` and `end` may be empty where a picture is one tile.

    `fit` says how a picture becomes its tiles: `stretch` resizes it to the grid, `crop` resizes the
    shorter side and cuts the middle out, `pad` centres it on a square of the mean colour (both for
    one tile). With `processor` the model's own processor arranges pictures in a way of its own:
    `hubkit.sdk.processing` runs it, and the numbers of tiles here say nothing."""

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
    fit: Literal["stretch", "crop", "pad", "processor"] = "stretch"

    @property
    def mark(self) -> str:
        """What stands once for each picture in a prompt whose placeholders are filled in."""
        return self.start or self.context * self.tokens_per_tile

    def placeholder(self, tiles: int) -> str:
        """The text that stands for a picture of `tiles` tiles in the prompt."""
        return f"{self.start}{self.context * (self.tokens_per_tile * tiles)}{self.end}"


def grid(width: int, height: int, vision: Vision) -> tuple[int, int]:
    """(columns, rows) for a picture of the given size in pixels.

    Raises:
        UsageError: the model's own processor arranges pictures.
    """
    if vision.fit == "processor":
        raise UsageError(
            "this family's pictures are arranged by the model's own processor, which is not run "
            "here",
            "train it with trainer peft and ask it with engine transformers, which run it",
        )
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
    """The RGB tiles of a picture (a PictureFile, or an image of PIL), row by row, each `tile` x
    `tile` pixels, the thumbnail last when there is one.

    Raises:
        PictureError: it cannot be shown as it is.
    """
    picture = picture.rgb() if isinstance(picture, PictureFile) else as_shown(picture)[0]
    columns, rows = grid(picture.width, picture.height, vision)
    side, bicubic = vision.tile, 3
    if vision.fit in ("crop", "pad"):
        square = _cropped(picture, side) if vision.fit == "crop" else _padded(picture, vision)
        return [square.resize((side, side), bicubic)]
    sheet = picture.resize((side * columns, side * rows), bicubic)
    parts = [
        sheet.crop((side * column, side * row, side * (column + 1), side * (row + 1)))
        for row in range(rows)
        for column in range(columns)
    ]
    if vision.thumbnail and len(parts) > 1:
        parts.append(picture.resize((side, side), bicubic))
    return parts


def _cropped(picture: Any, side: int) -> Any:
    """As CLIP's processor: the shorter side becomes `side`, rounded down the longer one, and the
    middle is kept."""
    scale = side / min(picture.width, picture.height)
    width, height = max(side, int(picture.width * scale)), max(side, int(picture.height * scale))
    left, top = (width - side) // 2, (height - side) // 2
    return picture.resize((width, height), 3).crop((left, top, left + side, top + side))


def _padded(picture: Any, vision: Vision) -> Any:
    longer = max(picture.width, picture.height)
    red, green, blue = (int(value * 255) for value in vision.mean)
    square = picture.resize((longer, longer))
    square.paste((red, green, blue), (0, 0, longer, longer))
    square.paste(picture, ((longer - picture.width) // 2, (longer - picture.height) // 2))
    return square
