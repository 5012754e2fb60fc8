"""Images of a dataset: whether they are there, decode, and are the same as another."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from ..errors import DataError
from ..files.pointers import is_pointer
from ..sdk import PictureError, open_picture
from ..sdk.pictures import picture_bytes, spelled
from .hashes import Hashes

Look = Literal["open", "exist"]
_THREADS = 8
_GUESSES = 20
"""Missing images for which their folder is searched for one of a similar name."""
_FOLDERS = 200
"""Below the folder of the images, in which the first missing one is looked for."""
_TRIED = 256
"""Files of a folder that is only listed that are looked into for Git LFS pointers: a clone has them
for all pictures, or for none."""


@dataclass(frozen=True, slots=True)
class Picture:
    """`sha256` of the file; `format` as Pillow names it; `width` and `height` in pixels, upright;
    `changes` are what is converted when it is shown to a model."""

    sha256: str
    format: str
    width: int
    height: int
    changes: tuple[str, ...] = ()


class Pictures:
    """The images below `folder`. Looking `open` decodes and hashes each once; `exist` only lists
    folders, once each.

    `known` maps a path to the picture or to what is wrong with it. `extracted` takes images that
    are in no file yet.
    """

    def __init__(self, folder: Path, look: Look, extracted: Path | None = None) -> None:
        self.folder, self.look, self.extracted = folder, look, extracted
        self.known: dict[str, Picture | str] = {}
        self._listings: dict[str, Hashes] = {}
        self._own: set[str] = set()
        self._guesses = 0
        self._remedy = ""

    def path(self, name: str) -> Path:
        return (self.extracted if self.extracted and name in self._own else self.folder) / name

    def keep(self, pictures: Mapping[str, bytes]) -> None:
        """Writes images that came with a row below `extracted`.

        Raises:
            DataError: a name leaves that folder.
        """
        assert self.extracted is not None
        for name, content in pictures.items():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not path.name:
                raise DataError(
                    f"a picture within the data is named {name!r}",
                    "report it to the adapter's author",
                    code="path",
                )
            if name not in self._own:
                self._own.add(name)
                target = self.extracted / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)

    def spelled(self, name: str) -> str:
        """`name` as the folder spells it."""
        return spelled(self.folder, name)

    def open(self, names: Iterable[str]) -> None:
        """Decodes those of `names` that were not looked at yet, several at once."""
        new = [name for name in dict.fromkeys(names) if name not in self.known]
        if len(new) < 4:
            self.known.update((name, examine(self.path(name))) for name in new)
        else:
            with ThreadPoolExecutor(_THREADS) as pool:
                self.known.update(
                    zip(new, pool.map(lambda name: examine(self.path(name)), new), strict=True)
                )

    def problem(self, name: str) -> tuple[str, str] | None:
        """What is wrong with the image, as far as was looked, and what to do."""
        found = self.known[name] if self.look == "open" else self._listed(name)
        if found == _ABSENT:
            self._remedy = self._remedy or self._look_below(name)
            return self._absent(name), self._remedy
        return (found, _REPLACE) if isinstance(found, str) else None

    def _look_below(self, name: str) -> str:
        """What to do about images that are missing, by the first of them."""
        with suppress(OSError, ValueError):  # no folder, or a name that none can have
            for folder in sorted(self.folder.iterdir())[:_FOLDERS]:
                if (folder / name).is_file():
                    return f"it is in {folder}: name that folder in data.images, or with --images"
        return f"images are looked for in {self.folder}; see data.images, or --images"

    def _listed(self, name: str) -> str | None:
        folder, _, file = name.rpartition("/")
        listing = self._listings.get(folder)
        if listing is None:
            listing = self._list(folder)
        if name in self.known:
            return _POINTER
        return None if hash(file) in listing or name in self._own else _ABSENT

    def _list(self, folder: str) -> Hashes:
        found = self._listings[folder] = Hashes()
        for number, name in enumerate(self._files(folder)):
            found.add(hash(name))
            if number < _TRIED and is_pointer(self.folder / folder / name):
                self.known[f"{folder}/{name}" if folder else name] = _POINTER
        return found

    def _files(self, folder: str) -> Iterator[str]:
        try:
            with os.scandir(self.folder / folder) as entries:
                yield from (entry.name for entry in entries if not entry.is_dir())
        except OSError:
            return

    def _absent(self, name: str) -> str:
        """The common causes are another case of the letters and another suffix."""
        folder, _, file = name.rpartition("/")
        if self._guesses >= _GUESSES:
            return _ABSENT
        self._guesses += 1
        stem = file.rpartition(".")[0]
        same = [
            one
            for one in self._files(folder)
            if one.casefold() == file.casefold() or stem == one.rpartition(".")[0] != ""
        ]
        return f"{_ABSENT} (but there is {min(same)!r})" if same else _ABSENT


_ABSENT = "no such file"
_POINTER = "a Git LFS pointer, not a picture: run `git lfs pull` in the folder of the data"
_REPLACE = "replace it by an 8-bit PNG or JPEG of what is to be seen, or leave the record out"


def examine(path: Path) -> Picture | str:
    """The decoded file, or what is wrong with it. A file whose header asks for more pixels than
    `hubkit.sdk.pictures` takes is not decoded."""
    try:
        if is_pointer(path):
            return _POINTER
        content = picture_bytes(path)
        with open_picture(content) as found:
            width, height = found.width, found.height
            if found.rgb().size != (width, height):
                return "its EXIF turn stands behind the pixels, where few look: save it again"
            digest = hashlib.sha256(content).hexdigest()
            return Picture(digest, found.format, width, height, found.changes)
    except FileNotFoundError:
        return _ABSENT
    except OSError as error:
        return error.strerror or str(error)
    except PictureError as error:
        return str(error)
