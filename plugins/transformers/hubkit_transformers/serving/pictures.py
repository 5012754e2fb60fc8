"""Pictures from data URLs: the only pictures that this server takes. It fetches nothing."""

from __future__ import annotations

import base64
import binascii
import warnings
from typing import Any

from hubkit.sdk import PictureError, PictureFile, open_picture

from .errors import Refusal

MOST_PICTURES = 16
MOST_BYTES = 20 << 20
MOST_PIXELS = 64_000_000


def picture_of(url: Any, field: str) -> Any:
    """The RGB PIL image of a `data:image/...;base64,` URL, as training sees such a picture. Its
    size and format are known from its header before it is decoded.

    Raises:
        Refusal: another URL, too many bytes or pixels, or no picture that can be shown.
    """
    from PIL import Image

    data = _bytes(url, field)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with open_picture(data) as picture:
                _check_size(picture, field)
                return picture.rgb()
    except PictureError as error:
        raise Refusal(f"not a picture that can be read: {error}", field) from None


def _check_size(picture: PictureFile, field: str) -> None:
    if picture.width * picture.height > MOST_PIXELS:
        raise Refusal(
            f"the picture has {picture.width} x {picture.height} pixels, more than "
            f"{MOST_PIXELS:,}: make it smaller",
            field,
        )


def _bytes(url: Any, field: str) -> bytes:
    if not isinstance(url, str):
        raise Refusal("a picture's URL must be text", field)
    head, comma, body = url.partition(",")
    if not head.startswith("data:image/"):
        raise Refusal(
            "only data URLs are taken (data:image/png;base64,...): this server fetches no pictures",
            field,
        )
    if not comma or not head.endswith(";base64"):
        raise Refusal("a data URL must be of the form data:image/png;base64,...", field)
    if len(body) * 3 // 4 > MOST_BYTES:
        raise Refusal(f"the picture has more than {MOST_BYTES >> 20} MiB: make it smaller", field)
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(f"the picture is not base64: {error}", field) from None
