"""Pictures, opened in one way by trainers, engines, servers and reports: a model sees what a viewer
shows.

Greys of 16 bits or floats are scaled to 8 bits, transparency is laid on white, CMYK becomes RGB and
the turn that a camera noted is made. What has no one reading is refused: animations, several pages,
values without a scale, and everything that is not of FORMATS.
"""

from __future__ import annotations

import errno
import io
import os
import unicodedata
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from .files import open_file

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF")
"""The last two where Pillow, or a plugin of it, reads them. PostScript is none: Pillow gives it to
Ghostscript."""
MOST_BYTES = 256 << 20
MOST_PIXELS = 89_478_485
"""Pillow's own limit (Image.MAX_IMAGE_PIXELS), of which it only warns."""
_ORIENTATION = 0x0112
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""From EXIF's orientation to Pillow's Transpose."""
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")


class PictureError(ValueError):
    """Why a file is no picture that a model can be shown."""


class PictureFile:
    """A picture whose header was read. `format` is Pillow's name for it; `width` and `height` are
    in pixels, of the picture when it is upright. `changes` says what `rgb` converted, once it ran.

    A context manager, which closes the file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._image = file, _opened(file)
        self.format: str = self._image.format or ""
        self.changes: tuple[str, ...] = ()
        if self.format == "TIFF":  # whose size Pillow turns at the header since 11.3, not before
            self.width, self.height = self.rgb().size
        else:
            self.width, self.height = self._image.size
            if _orientation(self._image) >= 5:
                self.width, self.height = self.height, self.width

    def rgb(self) -> Any:
        """The upright picture as an RGB image of PIL, decoded now.

        Raises:
            PictureError: it is damaged, or its values have no one reading.
        """
        try:
            self._image, changes = as_shown(self._image)
        except (PictureError, MemoryError):
            raise
        except OSError as error:
            raise PictureError(error.strerror or str(error)) from None
        except Exception as error:  # whatever a damaged file makes Pillow's decoders stumble over
            raise PictureError(f"it cannot be decoded ({type(error).__name__}: {error})") from None
        first = ("first picture of an MPO file",) if self.format == "MPO" else ()
        self.changes = self.changes or (*changes, *first)
        return self._image

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> PictureFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_picture(source: Path | bytes) -> PictureFile:
    """The picture in a file, or in its bytes. No more than the header is read, but of a TIFF.

    Raises:
        OSError: there is no such file, or it cannot be read.
        PictureError: it is no regular file, too large, none of FORMATS, damaged, or has several
            frames or pages.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else _regular(source)
    try:
        return PictureFile(file)
    except BaseException:
        file.close()
        raise


def picture_bytes(path: Path) -> bytes:
    """The content of a picture's file. Raises what `open_picture` raises before it looks into
    it."""
    with _regular(path) as file:
        return file.read()


def spelled(folder: Path, name: str) -> str:
    """`name`, a POSIX path below `folder`, as the folder spells it. The same letters may be
    composed (NFC) in one place and decomposed (NFD, as macOS writes them) in another; `name` itself
    where it is there, or in no form."""
    if name.isascii() or os.path.lexists(folder / name):
        return name
    found = PurePosixPath()
    for part in PurePosixPath(name).parts:
        forms = (part, *(unicodedata.normalize(form, part) for form in ("NFC", "NFD")))
        there = next((one for one in forms if os.path.lexists(folder / found / one)), None)
        if there is None:
            return name
        found /= there
    return found.as_posix()


def as_shown(image: Any) -> tuple[Any, tuple[str, ...]]:
    """An image of PIL as a viewer shows it: upright and RGB, with what was converted. An 8-bit RGB
    image that stands upright comes back as it is.

    Raises:
        PictureError: its values have no one reading.
    """
    if isinstance(image.info.get("transparency"), tuple) and ";16" in str(
        getattr(image, "tile", "")
    ):
        raise PictureError(
            "one colour of 16 bits is transparent, which 8 bits cannot tell from others: save it "
            "with 8 bits a channel"
        )
    noted = _orientation(image)  # Pillow turns a TIFF by itself, and forgets that it did
    image.load()
    turn, shown, changes = _TURNS.get(_orientation(image)), image, []
    if image.mode in _DEEP:
        shown, seen = _eight_bits(image)
        changes += ["deep grey, scaled to 8 bits", *["transparency, laid on white"] * seen]
    elif _has_transparency(image):
        shown, seen = _on_white(image)
        changes += ["transparency, laid on white"] * seen
    elif image.mode != "RGB":
        shown = image.convert("RGB")
        changes += ["CMYK, made RGB"] * (image.mode == "CMYK")
    if turn is not None:
        shown = shown.transpose(turn)
    if noted in _TURNS or turn is not None:
        changes.append("turned upright")
    if shown is not image:
        shown.info = {}
    return shown, tuple(changes)


def _regular(path: Path) -> BinaryIO:
    try:
        file = open_file(path)
    except OSError as error:
        if error.errno == errno.EINVAL:  # a pipe, a socket or a device
            raise PictureError(str(error.strerror)) from None
        raise
    if (size := os.fstat(file.fileno()).st_size) > MOST_BYTES:
        file.close()
        raise PictureError(f"{size:,} bytes is more than a picture should have")
    return file


@lru_cache(maxsize=1)
def _readable() -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _opened(file: BinaryIO) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(file, formats=_readable())
        several = getattr(image, "is_animated", False) and image.format != "MPO"
    except UnidentifiedImageError:
        raise PictureError(f"not an image of {', '.join(_readable())}") from None
    except Image.DecompressionBombError as error:
        raise PictureError(f"more pixels than a picture should have ({error})") from None
    except MemoryError:
        raise
    except Exception as error:  # as in rgb
        raise PictureError(f"it cannot be decoded ({type(error).__name__}: {error})") from None
    if image.width * image.height > MOST_PIXELS:
        raise PictureError(
            f"{image.width} x {image.height} pixels is more than a picture should have"
        )
    if several:
        raise PictureError("it is animated or has several pages: save the one that is meant")
    return image


def _orientation(image: Any) -> int:
    """As EXIF notes it, 1 where it does not; damaged EXIF notes nothing."""
    from PIL import Image

    try:
        if image.format == "TIFF":
            return int(image.tag_v2.get(_ORIENTATION, 1))
        if not (noted := image.info.get("exif")):
            return 1
        exif = Image.Exif()
        exif.load(noted)
        return int(exif.get(_ORIENTATION, 1))
    except Exception:
        return 1


def _has_transparency(image: Any) -> bool:
    coloured = image.mode == "P" and image.palette is not None
    return (
        image.mode in _ALPHA
        or "transparency" in image.info
        or (coloured and image.palette.mode.endswith("A"))
    )


def _on_white(image: Any) -> tuple[Any, bool]:
    """(RGB, was anything transparent?)"""
    from PIL import Image

    layer = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
    sheet = Image.new("RGBA", layer.size, "white")
    shown = Image.alpha_composite(sheet, layer).convert("RGB")
    return shown, layer.getchannel("A").getextrema()[0] < 255


def _eight_bits(image: Any) -> tuple[Any, bool]:
    """(RGB, was anything transparent?); from 0 to 65,535, or from 0 to 1 for floats, to 0 to
    255."""
    import numpy
    from PIL import Image

    values = numpy.asarray(image, dtype=numpy.float32)
    most = 1 if image.mode == "F" else 65_535
    if not (values.min() >= 0 and values.max() <= most):  # also for NaN
        raise PictureError(
            f"grey values from {values.min():g} to {values.max():g}, which only 0 to {most:,} "
            "says how to show: save it as 8-bit grey"
        )
    grey = numpy.rint(values * numpy.float32(255 / most)).astype(numpy.uint8)
    if image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    key = image.info.get("transparency")
    hole = values == (key if isinstance(key, int) else -1)
    grey[hole] = 255
    return Image.fromarray(grey).convert("RGB"), bool(hole.any())
