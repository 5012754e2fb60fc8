"""prepare: a dataset in any format that a plugin reads -> validated records, split for training and evaluation."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..digests import files_below, of_json, sha256, stamp
from ..errors import DataError
from ..registry import plugins
from ..sdk import Record, Run, write_jsonl
from ._stage import Context, Stage, plugin_inputs

TRAIN, HOLDOUT, IMAGES = "train.jsonl", "holdout.jsonl", "images.json"
_SHOWN = 10


@dataclass(frozen=True)
class Prepared:
    """Counts of records and of distinct images; `license` and `notes` are the dataset's terms."""

    train: int
    holdout: int
    images: int
    license: str
    notes: tuple[str, ...]


def prepare(
    adapter: str, source: Path, images: Path, out: Path, *, holdout: int | float, seed: int, options: Mapping[str, Any], run: Run
) -> Prepared:
    """Reads `source`, checks every image below `images`, and writes train.jsonl, holdout.jsonl and images.json (sha256 of each
    image) into `out`. The split depends on `seed` and the records alone.

    Raises:
        DataError: names file, record and field; missing or broken images are listed together.
    """
    records, digests = read_checked(adapter, source, images, options, run)
    train, held = _split(source, records, holdout, seed)
    write_jsonl(out / TRAIN, train)
    write_jsonl(out / HOLDOUT, held)
    (out / IMAGES).write_text(json.dumps(digests, indent=0, sort_keys=True) + "\n", "utf-8")
    terms = plugins().get("dataset", adapter).terms(source, options)
    return Prepared(len(train), len(held), len(digests), terms.license, terms.notes)


def read_checked(
    adapter: str, source: Path, images: Path, options: Mapping[str, Any], run: Run
) -> tuple[list[Record], dict[str, str]]:
    """All records of `source`, and the sha256 of each image, every one of which opens as a picture.

    Raises:
        DataError: names file, record and field; images that are missing or broken are listed together.
    """
    plugin = plugins().get("dataset", adapter)
    if not source.exists():
        raise DataError(f"{source}: no such dataset", "correct the path")
    records = []
    for number, record in enumerate(plugin.records(source, options), 1):
        records.append(record)
        if number % 1000 == 0:
            run.check_cancelled()
    if not records:
        raise DataError(f"{source.name} holds no records", "give a dataset with at least two records")
    return records, _check_images(source, records, images, run)


def _split(source: Path, records: list[Record], holdout: int | float, seed: int) -> tuple[list[Record], list[Record]]:
    count = holdout if isinstance(holdout, int) else max(1, round(holdout * len(records)))
    if count >= len(records):
        raise DataError(
            f"{source.name} has {len(records)} records, and data.holdout keeps {count} of them: none is left to train on",
            "lower data.holdout",
        )
    held = set(random.Random(seed).sample(range(len(records)), count))
    return [r for i, r in enumerate(records) if i not in held], [r for i, r in enumerate(records) if i in held]


def _check_images(source: Path, records: Sequence[Record], folder: Path, run: Run) -> dict[str, str]:
    digests: dict[str, str] = {}
    problems: list[str] = []
    for number, record in enumerate(records):
        for image in record.images:
            if image in digests:
                continue
            if problem := _image_problem(folder / image):
                problems.append(f"record {number} (id {record.id!r}): image {image}: {problem}")
            else:
                digests[image] = sha256(folder / image)
        if number % 100 == 0:
            run.progress(number, len(records), "records")
            run.check_cancelled()
    if problems:
        more = f"\n  ... and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        listed = "".join(f"\n  {problem}" for problem in problems[:_SHOWN])
        raise DataError(
            f"{source.name}: {len(problems)} images cannot be used:{listed}{more}",
            f"images are looked for in {folder}; see data.images",
        )
    return digests


def _image_problem(path: Path) -> str | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.width * image.height > (Image.MAX_IMAGE_PIXELS or 0):
                return f"{image.width} x {image.height} pixels is more than a picture should have"
            image.load()
    except FileNotFoundError:
        return "no such file"
    except UnidentifiedImageError:
        return "not an image"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return str(error)
    return None


def _inputs(context: Context) -> dict[str, str]:
    data = context.spec.data
    listing = [(name, stamp(context.images / name)) for name in files_below(context.images)]
    return {
        "data": context.workspace.digests.sha256(data.path)
        if data.path.is_file()
        else of_json(context.workspace.digests.tree(data.path)),
        "images": of_json(listing),
        "holdout": str(data.holdout),
        "seed": str(context.spec.seed),
    } | plugin_inputs("dataset", data.adapter, data.options)


def _run(context: Context, out: Path) -> Prepared:
    data = context.spec.data
    return prepare(
        data.adapter, data.path, context.images, out,
        holdout=data.holdout, seed=context.spec.seed, options=data.options, run=context.run,
    )  # fmt: skip


STAGE = Stage(
    name="prepare",
    purpose="read and check the dataset, split it",
    result=Prepared,
    inputs=_inputs,
    run=_run,
    summary=lambda r: f"{r.train:,} records to train on, {r.holdout:,} held out, {r.images:,} images",
)
