"""Groups and records, checked before anything is loaded."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import get_ident

from hubkit.sdk import (
    DataError,
    Record,
    Run,
    TrainInput,
    UsageError,
    json_text,
    read_records,
    stop_ids,
)
from hubkit.sdk.excerpt import did_you_mean
from hubkit.sdk.processing import Processor, load_tokenizer

from .examples import AnyEncoder, Encoder
from .forecast import Size
from .options import Options
from .processed import Own, ProcessorEncoder

_AT_ONCE = 100


def check_groups(options: Options, job: TrainInput) -> None:
    unknown = sorted({*options.lora, *options.full} - set(job.groups))
    if unknown:
        known = sorted(job.groups)
        raise UsageError(
            f"lora/full: this model has no group {', '.join(unknown)}"
            f"{did_you_mean(unknown[0], known)}",
            f"choose from {', '.join(known)}",
        )


def check_shares(options: Options, job: TrainInput) -> None:
    if options.shard == "always" and job.vision.fit == "processor":
        raise UsageError(
            "shard: always is for models whose pictures hubkit tiles, and this one's are arranged "
            "by its own processor",
            "set shard: never; quantize: 4bit takes less memory",
        )


def open_encoder(job: TrainInput) -> AnyEncoder:
    stops = stop_ids(json_text.load(job.base / "generation_config.json"))
    if job.vision.fit == "processor":
        own = Own(Processor.open(job.native), get_ident())
        return ProcessorEncoder(own, job.vision, job.images, stops, _patch(job.native))
    return Encoder(load_tokenizer(job.native), job.vision, job.images, stops)


def _patch(native: Path) -> int:
    """Numbers in a patch of a picture; videos' models see each picture several times."""
    from transformers import AutoConfig

    vision = getattr(AutoConfig.from_pretrained(native), "vision_config", None)
    side, times = (
        getattr(vision, key, n) for key, n in (("patch_size", 14), ("temporal_patch_size", 1))
    )
    return 3 * int(side) ** 2 * int(times)


def measure(
    records: Sequence[Record], encoder: AnyEncoder, options: Options, run: Run
) -> tuple[Size, ...]:
    """Reads every conversation and every picture's size, so that nothing fails hours later.

    Raises:
        DataError: there is no record, one has no answer, or one is longer than `max_length`.
    """
    if not records:
        raise DataError("there is nothing to train on", "check the dataset and the held-out share")
    from .model import device_of

    readers, sizes = options.readers(device_of(options)), list[Size]()
    measured = partial(_measured, encoder, options.max_length)
    with ThreadPoolExecutor(max(1, readers), "hubkit-sizes") as pool:
        for start in range(0, len(records), _AT_ONCE):
            part = records[start : start + _AT_ONCE]
            sizes += pool.map(measured, part) if readers else map(measured, part)
            run.check_cancelled()
            run.progress(len(sizes), len(records), "records checked")
    return tuple(sizes)


def _measured(encoder: AnyEncoder, most: int, record: Record) -> Size:
    if not record.turns or not all(turn.answer for turn in record.turns):
        raise DataError(
            f"record {record.id}: an answer is empty",
            "give every turn an answer, or leave the record out",
        )
    size = encoder.size(record)
    if size.tokens > most:
        raise DataError(
            f"record {record.id}: {size.tokens:,} tokens, max_length is {most:,}",
            "raise max_length, shorten the text, or leave the record out (cutting it would cut "
            "picture positions)",
        )
    return size


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
