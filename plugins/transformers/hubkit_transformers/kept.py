"""Answers that come in any order and outlive a kill."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hubkit.sdk import Answer, Record, UsageError, read_answers, write_jsonl
from hubkit.sdk.codec import decode
from hubkit.sdk.records import kept_answers


class Kept:
    """Each answer is a line of a journal beside `path`; the file at `path`, in the order of the
    records, is written once all are there."""

    def __init__(self, path: Path, records: Sequence[Record]) -> None:
        self._path, self._records = path, records
        self._journal = path.with_name(f"{path.stem}.part{path.suffix}")
        self._known: dict[int, Answer] = {}
        if kept_answers(path, records, 1):
            self._known = dict(enumerate(read_answers(path)))
        self._read_journal()

    def __len__(self) -> int:
        return len(self._known)

    def missing(self) -> list[tuple[int, Record]]:
        """The records without an answer, each with its place."""
        return [one for one in enumerate(self._records) if one[0] not in self._known]

    def add(self, answers: Sequence[tuple[int, Answer]]) -> None:
        """`answers` with their records' places."""
        with self._journal.open("a", encoding="utf-8", newline="\n") as out:
            for place, answer in answers:
                line = {"place": place, "answer": asdict(answer)}
                out.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._known |= dict(answers)

    def finish(self) -> None:
        whole = self._path.with_name(f"{self._path.name}.new")
        write_jsonl(whole, [self._known[place] for place in range(len(self._records))])
        whole.replace(self._path)
        self._journal.unlink(missing_ok=True)

    def _read_journal(self) -> None:
        """Up to the first line that is torn; the rest is cut off."""
        if not self._journal.exists():
            return
        good = 0
        for line in self._journal.read_bytes().splitlines(keepends=True):
            try:
                place, answer = (
                    self._entry(json.loads(line)) if line.endswith(b"\n") else (-1, None)
                )
            except (ValueError, KeyError, TypeError, UsageError):
                break
            if answer is None:
                break
            self._known[place] = answer
            good += len(line)
        os.truncate(self._journal, good)

    def _entry(self, line: Any) -> tuple[int, Answer | None]:
        """The answer is None where it is of no record here."""
        place, answer = int(line["place"]), decode(Answer, line["answer"], self._journal.name)
        if not 0 <= place < len(self._records):
            return place, None
        record = self._records[place]
        own = answer.id == record.id and len(answer.texts) == len(record.turns)
        return place, answer if own else None
