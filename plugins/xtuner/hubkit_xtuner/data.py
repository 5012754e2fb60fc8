"""Records as xtuner's LLaVA JSON, every one checked before the first iteration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hubkit.sdk import IMAGE, DataError, Record, Run, TrainInput, Turn, Vision

from .conversation import encode, tile_counts

FILE = "llava.json"


def write(path: Path, records: Sequence[Record], lengths: Sequence[int]) -> None:
    """`length` groups records into batches; a negative one marks a record without picture, as
    xtuner counts."""
    entries = [_entry(record, length) for record, length in zip(records, lengths, strict=True)]
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False, sort_keys=True) for entry in entries)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def record(entry: dict[str, Any]) -> Record:
    """Back from an entry of that file."""
    said = [turn["value"] for turn in entry["conversations"]]
    pairs = zip(said[::2], said[1::2], strict=True)
    images = entry.get("image", [])
    return Record(
        entry["id"],
        (images,) if isinstance(images, str) else tuple(images),
        tuple(Turn(asked, told) for asked, told in pairs),
    )


def _entry(record: Record, length: int) -> dict[str, Any]:
    said = []
    for turn in record.turns:
        said += [{"from": "human", "value": turn.prompt}, {"from": "gpt", "value": turn.answer}]
    entry: dict[str, Any] = {
        "id": record.id,
        "conversations": said,
        "length": length if record.images else -length,
    }
    if record.images:
        entry["image"] = record.images[0] if len(record.images) == 1 else list(record.images)
    return entry


def check(
    records: Sequence[Record],
    job: TrainInput,
    tokenizer: Any,
    stops: Sequence[int],
    max_length: int,
    *,
    stock: bool,
    run: Run,
) -> list[int]:
    """Lengths in tokens, image positions included. `stock`: the records go through xtuner's own
    dataset class.

    Raises:
        DataError: there is no record, an answer is empty, a picture cannot be read, a record is
            longer than `max_length` (xtuner would cut it, picture positions and all), or xtuner's
            own dataset cannot take it.
    """
    if not records:
        raise DataError("there is nothing to train on", "check the dataset and the held-out share")
    lengths = []
    for number, one in enumerate(records, 1):
        if not one.turns or not all(turn.answer.strip() for turn in one.turns):
            raise DataError(
                f"record {one.id}: an answer is empty",
                "give every turn an answer, or leave the record out",
            )
        if stock:
            _check_stock(one)
        ids, _ = encode(tokenizer, one, tile_counts(one, job.images, job.vision), job.vision, stops)
        if len(ids) > max_length:
            raise DataError(
                f"record {one.id}: {len(ids):,} tokens, max_length is {max_length:,}",
                "raise max_length, shorten the text, or leave the record out (xtuner cuts it "
                "without asking)",
            )
        lengths.append(len(ids))
        if number % 100 == 0 or number == len(records):
            run.check_cancelled()
            run.progress(number, len(records), "records checked")
    return lengths


def _check_stock(record: Record) -> None:
    """xtuner's dataset takes one picture, drops every `<image>` and puts the picture before the
    turn that had one."""
    marks = sum(turn.prompt.count(IMAGE) for turn in record.turns)
    if len(record.images) > 1 or marks > 1:
        raise DataError(
            f"record {record.id}: {len(record.images)} pictures; xtuner's own dataset takes one",
            "use `prompt: template`, which takes several, or leave the record out",
        )


def as_mapping(vision: Vision) -> dict[str, Any]:
    """Plain values for a configuration file; `hubkit.sdk.codec.decode` reads them back."""
    from dataclasses import asdict

    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(vision).items()
    }
