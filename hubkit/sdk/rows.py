"""What dataset adapters for conversations share: the place of a value, checked paths and texts,
turns, and rows of a scan.

Codes of problems, by which a report groups them: `json`, `encoding`, `schema`, `keys`, `roles`,
`empty`, `unanswered`, `marks`, `fields`, `path`, `id`, `choices`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from .errors import DataError
from .records import IMAGE, Record, Turn
from .unsupported_fields import (
    PICTURE,
    SAID,
    changes_meaning,
    foreign_mark,
    names_a_picture,
    other_file,
    says_something,
)

_MARKS = f"write {IMAGE} once for each image, the first in the first prompt"
_BELOW = "write the image's path below the image folder, such as `img/7.png`"


@dataclass(slots=True)
class Row:
    """One item of a dataset, counted from 0: its record, or the problem because of which it is
    none. `fixes` say what was repaired. `pictures` are encoded images, by the path that the record
    has for them, that lie in no file of their own."""

    index: int
    line: int | None
    record: Record | None
    problem: DataError | None = None
    fixes: tuple[str, ...] = ()
    pictures: Mapping[str, bytes] | None = None


@dataclass(slots=True)
class Place:
    """Where in a dataset a value stands: for errors."""

    source: Path
    index: int
    line: int | None
    item: Any
    key: str = "id"

    def error(self, field: str, message: str, remedy: str, code: str = "schema") -> DataError:
        value = self.item.get(self.key) if isinstance(self.item, Mapping) else None
        name = f"id {value!r}" if isinstance(value, (str, int)) else "no id"
        line = f"line {self.line}, " if self.line is not None else ""
        return DataError(
            f"{self.source}, record {self.index} ({line}{name}), {field}: {message}",
            remedy,
            code=code,
        )

    def identity(self, value: Any) -> str:
        """An id as text; the index when there is none."""
        if value is None:
            return str(self.index)
        if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
            raise self.error(
                "id",
                f"must be text or a whole number, not {value!r}",
                "correct it, or leave it out",
                "id",
            )
        return self.encodable("id", str(value))

    def image(self, field: str, value: Any) -> str:
        """A POSIX path below the image folder.

        Raises:
            DataError: no path, an address, an absolute path, or one that leaves the folder.
        """
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise self.error(field, f"must be a path, not {value!r}", _BELOW, "path")
        if "://" in value:
            raise self.error(
                field,
                f"{value!r} is an address, not a file",
                f"download the image and {_BELOW}",
                "path",
            )
        if value[0] in "/\\" or (":" in value and PureWindowsPath(value).drive):
            raise self.error(field, f"{value!r} is absolute", _BELOW, "path")
        if ".." in value and ".." in PureWindowsPath(value).parts:
            raise self.error(field, f"{value!r} leaves the image folder", _BELOW, "path")
        if "\\" in value:
            raise self.error(field, f"{value!r} has backslashes", f"write `/`: {_BELOW}", "path")
        plain = (
            "//" not in value
            and "/./" not in value
            and not value.startswith("./")
            and not value.endswith(("/", "/."))
        )
        return self.encodable(field, value if plain else str(PurePosixPath(value)))

    def encodable(self, field: str, text: str) -> str:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            message = "holds half a surrogate pair (\\ud800...\\udfff)"
            raise self.error(field, message, "correct the text's encoding", "encoding") from None
        return text

    def check_fields(
        self, read: Collection[str], images: Sequence[str] = (), harmless: Collection[str] = ()
    ) -> None:
        """No field beside those that are `read` changes what is learnt, or names another picture
        than the record's. Where no picture is read, none may name one, nor a video. `harmless` are
        fields that such records have for other readers.

        Raises:
            DataError: names the field.
        """
        for name, why in changes_meaning(self.item, {*read, *harmless}):
            raise self._unread(name, name, why)
        for name, value in self.item.items():
            if name in read or not says_something(value):
                continue
            if not images and names_a_picture(str(name)):
                raise self._unread(str(name), str(name), PICTURE)
            if why := other_file(str(name), value, images):
                raise self._unread(str(name), str(name), why)

    def check_message(
        self, field: str, message: Mapping[str, Any], read: Collection[str], learnt: bool
    ) -> None:
        """As `check_fields`, for one message of a conversation; an answer is `learnt`."""
        for name, why in changes_meaning(message, read, learnt=learnt):
            raise self._unread(f"{field}.{name}", name, why)

    def _unread(self, field: str, name: str, why: str) -> DataError:
        remedy = f"remove `{name}` where the record is right without it, or leave the record out"
        if why == SAID:
            remedy = f"write it into the question; or {remedy}"
        if why == PICTURE:
            remedy = f"name the picture where this format reads pictures; or {remedy}"
        return self.error(field, why, remedy, "fields")

    def meta(self, read: Collection[str]) -> dict[str, str]:
        """The other fields that say something, as texts: for slices.

        Raises:
            DataError: a field holds bytes, such as a picture's.
        """
        found = {}
        for name, value in self.item.items():
            if name not in read and says_something(value):
                found[self.encodable("record", str(name))] = self._as_text(str(name), value)
        return found

    def _as_text(self, name: str, value: Any) -> str:
        if isinstance(value, bytes) or (isinstance(value, Mapping) and value.get("bytes")):
            raise self._unread(name, name, "bytes that are not read, as of a picture")
        structured = isinstance(value, (Mapping, list, tuple))
        text = json.dumps(value, ensure_ascii=False, default=str) if structured else str(value)
        return self.encodable(name, text)

    def check_marks(
        self, images: Sequence[str], turns: Sequence[Turn], field: str = "conversations"
    ) -> None:
        """Each image has its `<image>`, the first of them in the first prompt, and no other mark
        stands in a text.

        Raises:
            DataError: too many, too few, in an answer, or first in a later turn; a mark for
                something that hubkit does not put there, such as `<video>`.
        """
        count = 0
        for number, turn in enumerate(turns):
            prompt, answer = turn.prompt, turn.answer
            if "<" in prompt:
                here = prompt.count(IMAGE)
                if prompt.count("<") > here:
                    self._check_foreign(f"{field}, prompt {number}", prompt)
                count += here
            if "<" in answer:
                if IMAGE in answer:
                    raise self.error(field, f"a gpt turn holds {IMAGE}", _MARKS, "marks")
                self._check_foreign(f"{field}, answer {number}", answer)
        if images and IMAGE not in turns[0].prompt:
            raise self.error(
                f"{field}[0]",
                f"the record has an image but no {IMAGE} in its first human turn",
                _MARKS,
                "marks",
            )
        if count != len(images):
            raise self.error(
                field, f"there are {count} {IMAGE} for {len(images)} images", _MARKS, "marks"
            )

    def _check_foreign(self, field: str, text: str) -> None:
        if mark := foreign_mark(text):
            remedy = f"write the text without it ({IMAGE} stands for a picture), or drop the record"
            raise self.error(
                field, f"the mark {mark} stands for nothing that hubkit puts there", remedy, "marks"
            )


def records_of(
    rows: Iterable[Row], source: Path, same_id: str = "give each record an id of its own"
) -> Iterator[Record]:
    """The records of a scan that must be sound: `DatasetAdapter.records` for an adapter that has a
    `scan`.

    Raises:
        DataError: the first problem; two records with one id (`same_id` is the remedy); no record
            at all.
    """
    seen: dict[str, int] = {}
    for row in rows:
        if row.problem is not None or row.record is None:
            raise row.problem or DataError(
                f"{source}, record {row.index}: no record", "report it to the adapter's author"
            )
        record = row.record
        if record.id in seen:
            place = Place(source, row.index, row.line, {"id": record.id})
            raise place.error("id", f"record {seen[record.id]} has the same id", same_id, "id")
        seen[record.id] = row.index
        yield record
    if not seen:
        raise DataError(f"{source}: the dataset is empty", "name a file that holds records")
