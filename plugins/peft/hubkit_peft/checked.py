"""Groups and records, checked before anything is loaded."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from hubkit.sdk import DataError, Record, Run, TrainInput, UsageError, read_records, stop_ids
from hubkit.sdk.shown import did_you_mean

from .examples import IGNORED, Encoder
from .forecast import Size
from .options import Options


def check_groups(options: Options, job: TrainInput) -> None:
    unknown = sorted({*options.lora, *options.full} - set(job.groups))
    if unknown:
        known = sorted(job.groups)
        raise UsageError(
            f"lora/full: this model has no group {', '.join(unknown)}"
            f"{did_you_mean(unknown[0], known)}",
            f"choose from {', '.join(known)}",
        )


def open_encoder(job: TrainInput) -> tuple[Any, Encoder]:
    from .model import load_tokenizer

    tokenizer = load_tokenizer(job.native)
    stops = stop_ids(json.loads((job.base / "generation_config.json").read_text("utf-8")))
    return tokenizer, Encoder(tokenizer, job.vision, job.images, stops)


def measure(
    records: Sequence[Record], encoder: Encoder, options: Options, run: Run
) -> tuple[Size, ...]:
    """Reads every conversation and every picture's size, so that nothing fails hours later.

    Raises:
        DataError: there is no record, one has no answer, or one is longer than `max_length`.
    """
    if not records:
        raise DataError("there is nothing to train on", "check the dataset and the held-out share")
    sizes = []
    for number, record in enumerate(records, 1):
        if not record.turns or not all(turn.answer for turn in record.turns):
            raise DataError(
                f"record {record.id}: an answer is empty",
                "give every turn an answer, or leave the record out",
            )
        tiles = encoder.tile_counts(record)
        ids, labels = encoder.text(record, tiles)
        if len(ids) > options.max_length:
            raise DataError(
                f"record {record.id}: {len(ids):,} tokens, max_length is {options.max_length:,}",
                "raise max_length, shorten the text, or leave the record out (cutting it would cut "
                "picture positions)",
            )
        sizes.append(Size(len(ids), sum(label != IGNORED for label in labels[1:]), sum(tiles)))
        if number % 100 == 0 or number == len(records):
            run.check_cancelled()
            run.progress(number, len(records), "records checked")
    return tuple(sizes)


def records_of(job: TrainInput, options: Options) -> list[Record]:
    """The records in their order, but those for validation, drawn by the seed, at the end.

    Raises:
        UsageError: nothing is left to learn from.
    """
    records = list(read_records(job.records))
    if records and options.validation >= len(records):
        raise UsageError(
            f"validation is {options.validation:,}, there are {len(records):,} records",
            "set fewer aside for validation",
        )
    aside = set(
        random.Random(f"{job.seed}/validation").sample(
            range(len(records)), options.validation if records else 0
        )
    )
    return [r for n, r in enumerate(records) if n not in aside] + [
        r for n, r in enumerate(records) if n in aside
    ]
