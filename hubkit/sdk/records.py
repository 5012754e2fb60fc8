"""One sample of a vision-language dataset, and how samples travel in files.

A records file is JSON Lines, UTF-8, one record a line: `{"id": "7", "images": ["img/7.png"],
"turns": [{"prompt": "<image>\\nWhich digit?", "answer": "3"}], "meta": {}}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .errors import DataError, UsageError

IMAGE = "<image>"
"""Stands in a prompt where an image goes; the n-th one is the record's n-th image."""


@dataclass(frozen=True)
class Turn:
    prompt: str
    answer: str


@dataclass(frozen=True)
class Record:
    """`images` are POSIX paths relative to the dataset's image folder; `meta` is for slices, never
    for the prompt."""

    id: str
    images: tuple[str, ...]
    turns: tuple[Turn, ...]
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What an engine said to one record: a text and a reason for stopping per turn (`stop` or
    `length`)."""

    id: str
    texts: tuple[str, ...]
    finish: tuple[str, ...]
    tokens: tuple[int, ...] = ()


def write_jsonl(path: Path, items: Iterable[Record | Answer]) -> int:
    """Writes one JSON object a line and returns how many."""
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for item in items:
            out.write(json.dumps(asdict(item), ensure_ascii=False, sort_keys=True) + "\n")
            count += 1
    return count


def _lines(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(
                    f"{path.name}, line {number}: not JSON ({error.msg})",
                    "run `hubkit prepare` again",
                ) from None


def read_records(path: Path) -> Iterator[Record]:
    from .codec import decode

    for number, data in _lines(path):
        yield decode(Record, data, f"{path.name}, line {number}")


def read_answers(path: Path) -> Iterator[Answer]:
    from .codec import decode

    for number, data in _lines(path):
        yield decode(Answer, data, f"{path.name}, line {number}")


def kept_answers(path: Path, records: Sequence[Record], batch_size: int) -> int:
    """How many answers of an earlier run stand, whole batches only; the file is cut to them."""
    if not path.exists():
        return 0
    lines = path.read_bytes().splitlines(keepends=True)
    good = len(_standing(lines, records, path.name))
    good = good if good == len(records) else good - good % batch_size
    with path.open("r+b") as file:
        file.truncate(sum(map(len, lines[:good])))
    return good


def standing_answers(path: Path, records: Sequence[Record]) -> list[Answer]:
    """The answers of an earlier run up to the first that is cut off or of another record. The file
    is left as it is."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return _standing(lines, records, path.name)


def _standing(lines: Sequence[bytes], records: Sequence[Record], name: str) -> list[Answer]:
    from .codec import decode

    good: list[Answer] = []
    for line, record in zip(lines, records, strict=False):
        try:
            answer = decode(Answer, json.loads(line), name) if line.endswith(b"\n") else None
        except (ValueError, UsageError):
            break
        if answer is None or answer.id != record.id or len(answer.texts) != len(record.turns):
            break
        good.append(answer)
    return good
