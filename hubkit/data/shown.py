"""What a release shows of its data, in the card and in provenance.json, held to what may be
published: before anything is trained on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from ..errors import DataError
from ..hygiene.names import shown
from ..hygiene.search import search_texts
from ..sdk import Problem, Record, read_records

_BATCH = 1000
"""Records; one search takes a fixed time."""
_TOLD = 10


def check_shown(
    train: Path,
    holdout: Path,
    *,
    samples: bool,
    asked: bool,
    slices: Sequence[str] = (),
    author_email: str = "",
) -> None:
    """The first record of `train` is where prompts are compared. Of those in `holdout`, the first
    is `asked` its own questions in the smoke test, with `samples` any may be in the card's gallery,
    and each value of the fields `slices` is a row of a table.

    Raises:
        DataError: a credential, a path of one machine or an address is in a text that is shown;
            names the records.
    """
    texts = _texts(train, holdout, samples, asked, slices)
    found: list[Problem] = []
    while batch := list(islice(texts, _BATCH)):
        found += search_texts(batch, author_email)
    if found:
        listed = "".join(f"\n  {p.where}: {p.message}" for p in found[:_TOLD])
        more = f"\n  ... and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        raise DataError(
            f"the release would show what may not be published:{listed}{more}",
            "write it in another way, or leave the record out; `card.samples: 0` shows no held-out "
            "record, and `smoke.prompts` asks other questions",
        )


def _texts(
    train: Path, holdout: Path, samples: bool, asked: bool, slices: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """(what it is, text)"""
    for record in islice(read_records(train), 1):
        yield "the first training record, id", record.id
        yield "the first training record, question 0", record.turns[0].prompt
    if not holdout.is_file():
        return
    for number, record in enumerate(read_records(holdout)):
        yield from _of(record, samples, asked and number == 0)
        for field in slices:
            if field in record.meta:
                yield f"held-out record {shown(record.id)!r}, {field}", record.meta[field]


def _of(record: Record, samples: bool, whole: bool) -> Iterator[tuple[str, str]]:
    name = f"held-out record {shown(record.id)!r}"
    if samples and record.images:
        yield f"{name}, answer 0", record.turns[0].answer
    asked = len(record.turns) if whole else int(samples and bool(record.images))
    for number, turn in enumerate(record.turns[:asked]):
        yield f"{name}, question {number}", turn.prompt
