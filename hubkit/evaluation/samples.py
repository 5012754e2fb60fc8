"""One row per record: question, references, answers, scores and meta, to see what a score is made
of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import EnvironmentFailure, UsageError
from ..sdk.install import install
from .judging import Answered, Scores

SUFFIXES = (".jsonl", ".parquet")


def check_suffix(path: Path) -> None:
    """Raises UsageError or EnvironmentFailure when `write_samples` could not write `path`, before a
    model is asked."""
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"{path}: samples are written as {' or '.join(SUFFIXES)}",
            "give the file one of these suffixes",
        )
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder", "make it first")
    if path.suffix == ".parquet":
        _pyarrow()


def write_samples(path: Path, answered: Answered, scores: Sequence[Scores]) -> None:
    """Columns: id, images, questions, references, answers, finish, one score per metric; with a
    base base_answers and base_METRIC; the records' meta as meta.FIELD. Written whole or not at
    all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        if path.suffix == ".parquet":
            _pyarrow()
            import pyarrow
            import pyarrow.parquet

            pyarrow.parquet.write_table(
                pyarrow.Table.from_pylist(_even(list(_rows(answered, scores)))), partial
            )
        else:
            with partial.open("w", encoding="utf-8", newline="\n") as out:
                out.writelines(
                    json.dumps(row, ensure_ascii=False) + "\n" for row in _rows(answered, scores)
                )
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _rows(answered: Answered, scores: Sequence[Scores]) -> Iterator[dict[str, Any]]:
    for place, (record, answer) in enumerate(zip(answered.records, answered.answers, strict=True)):
        row: dict[str, Any] = {
            "id": record.id,
            "images": list(record.images),
            "questions": [turn.prompt for turn in record.turns],
            "references": [turn.answer for turn in record.turns],
            "answers": list(answer.texts),
            "finish": list(answer.finish),
        }
        row |= {one.metric.name: one.model[place] for one in scores}
        if answered.base is not None:
            row["base_answers"] = list(answered.base[place].texts)
            row |= {
                f"base_{one.metric.name}": one.base[place] for one in scores if one.base is not None
            }
        yield row | {f"meta.{field}": value for field, value in record.meta.items()}


def _even(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every row with every column: a table takes its columns from the first one."""
    columns = dict.fromkeys(column for row in rows for column in row)
    return [{column: row.get(column) for column in columns} for row in rows]


def _pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise EnvironmentFailure(
            "Parquet files are written by pyarrow, which is not installed",
            f"{install('parquet')}, or write .jsonl",
        ) from None
