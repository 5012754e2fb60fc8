"""One visitor's conversation: values that are replaced, never changed, so that no two visitors can
share any."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..sdk import PictureError, open_picture

MOST_PIXELS = 64_000_000
LONGEST_SIDE = 4096
AS_THEY_ARE = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


@dataclass(frozen=True)
class Picture:
    """`shown` is the file as it was uploaded, `sent` the one that models get, upright, and `kind`
    its media type."""

    shown: Path
    sent: Path
    kind: str


@dataclass(frozen=True)
class Said:
    """What one model said to a turn; with an `error` it is left out of the later conversation."""

    text: str = ""
    error: str = ""
    done: bool = False


@dataclass(frozen=True)
class Turn:
    """`said` has one item for each model."""

    text: str
    pictures: tuple[Picture, ...]
    said: tuple[Said, ...]

    def hear(self, said: Sequence[Said]) -> Turn:
        return replace(self, said=tuple(said))


def messages(turns: Sequence[Turn], place: int) -> list[dict[str, Any]]:
    """What the model at `place` is asked: its own answers are the history, and the last turn waits
    for its answer."""
    found: list[dict[str, Any]] = []
    for turn in turns[:-1]:
        said = turn.said[place]
        if said.text and not said.error:
            found += [_question(turn), {"role": "assistant", "content": said.text}]
    return [*found, _question(turns[-1])]


def _question(turn: Turn) -> dict[str, Any]:
    if not turn.pictures:
        return {"role": "user", "content": turn.text}
    pictures = [
        {"type": "image_url", "image_url": {"url": _url(picture)}} for picture in turn.pictures
    ]
    return {"role": "user", "content": [*pictures, {"type": "text", "text": turn.text}]}


def _url(picture: Picture) -> str:
    return f"data:{picture.kind};base64,{base64.b64encode(picture.sent.read_bytes()).decode()}"


def take_picture(path: Path, folder: Path) -> Picture:
    """The file itself where every server shows it to a model as the visitor sees it; else an
    upright PNG of bounded size in `folder`.

    Raises:
        PictureError: it is no picture that can be shown to a model, or has more than MOST_PIXELS;
            its text is the file's name.
    """
    try:
        with open_picture(path) as picture:
            size, kind = picture.width * picture.height, AS_THEY_ARE.get(picture.format)
            if size > MOST_PIXELS:
                raise PictureError(path.name)
            shown = picture.rgb()
            if kind and not picture.changes and max(shown.size) <= LONGEST_SIDE:
                return Picture(path, path, kind)
        shown.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        folder.mkdir(parents=True, exist_ok=True)
        sent = folder / f"{hashlib.sha256(path.read_bytes()).hexdigest()}.png"
        shown.save(sent)
    except (OSError, PictureError):
        raise PictureError(path.name) from None
    return Picture(path, sent, "image/png")
