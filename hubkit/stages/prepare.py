"""prepare: a dataset in any format that a plugin reads -> validated records, split for training and
evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..data.findings import Shared
from ..data.output import deal, own_line, spool
from ..data.report import write_html
from ..data.scan import rows
from ..data.split import held_out, shared, shared_between
from ..data.terms import check_accepted, terms_of
from ..data.validate import Validation
from ..digests import files_below, of_json, stamp
from ..errors import DataError
from ..models import Model
from ..sdk import Record, Run, Terms
from ..spec import Data
from ._stage import Context, Stage, plugin_inputs

TRAIN, HOLDOUT, IMAGES = "train.jsonl", "holdout.jsonl", "images.json"
REPORT = "data-report.html"


@dataclass(frozen=True)
class Prepared:
    """Counts of records and of distinct images. `shared` held-out records have a picture or their
    text in common with records that are trained on; `fixes` counts repairs."""

    train: int
    holdout: int
    images: int
    shared: int = 0
    fixes: int = 0


def prepare(
    data: Data,
    images: Path,
    out: Path,
    *,
    seed: int,
    run: Run,
    base: Model | None = None,
    max_length: int = 0,
    report: Path | None = None,
) -> Prepared:
    """Reads `data.path`, checks every record and every image below `images`, and writes
    train.jsonl, holdout.jsonl and images.json (sha256 of each image) into `out`. The split depends
    on `seed` and the records alone.

    A page about the data goes to `report`, also when they are refused; with `base` it says how long
    the records are, and how many are over `max_length` tokens.

    Raises:
        DataError: names file, record and field; problems are listed together.
    """

    def opened(source: Path) -> Validation:
        return Validation(source, images, base=base, max_length=max_length, fix=data.fix)

    found, apart = opened(data.path), opened(data.holdout_file) if data.holdout_file else None
    held, common = set[int](), None
    try:
        _read(data, found, out / ".all", run)
        if apart:
            _read(data, apart, out / HOLDOUT, run)
        else:
            held = held_out(found, data.holdout, seed, by_picture=data.group == "image")
        common = shared_between(found, apart) if apart else shared(found, held)
    finally:
        result = _result(data, found, apart, held, common)
        if report and found.rows:
            _write_page(report, data, found, result, common)
            run.note(f"about the data: {report}")
    deal(out / ".all", held, out / TRAIN, out / ".held", repeat=data.repeat)
    (out / ".all").unlink()
    if apart:
        (out / ".held").unlink()
    else:
        (out / ".held").replace(out / HOLDOUT)
    digests = found.digests() | (apart.digests() if apart else {})
    (out / IMAGES).write_text(json.dumps(digests, indent=0, sort_keys=True) + "\n", "utf-8")
    return result


def _result(
    data: Data, found: Validation, apart: Validation | None, held: set[int], common: Shared | None
) -> Prepared:
    both = [found, *([apart] if apart else [])]
    return Prepared(
        train=data.repeat * (found.count - len(held)),
        holdout=apart.count if apart else len(held),
        images=len({name for one in both for name in one.digests()}),
        shared=common.records if common else 0,
        fixes=sum(sum(one.fixes.values()) for one in both),
    )


def _write_page(
    place: Path, data: Data, found: Validation, result: Prepared, common: Shared | None
) -> None:
    page = replace(
        found.report(data.adapter), shared=common, train=result.train, holdout=result.holdout
    )
    pictures = {name: found.pictures.path(name) for name in found.sample_pictures()}
    write_html(place, page, pictures, terms_of(data.adapter, data.path, data.options, data.license))


def _read(data: Data, found: Validation, place: Path, run: Run) -> None:
    try:
        spool(
            found.sound(rows(data.adapter, found.source, data.options, fix=data.fix), run),
            place,
            own_line,
        )
    except DataError as error:
        found.tally.add(error)
        raise
    _refuse(found)


def read_checked(
    adapter: str, source: Path, images: Path, options: Mapping[str, Any], run: Run
) -> tuple[list[Record], dict[str, str]]:
    """All records of `source`, and the sha256 of each image, every one of which opens as a picture.

    Raises:
        DataError: names file, record and field; problems are listed together.
    """
    found = Validation(source, images)
    records = list(found.sound(rows(adapter, source, options), run))
    _refuse(found)
    return records, found.digests()


def _refuse(found: Validation) -> None:
    found.tally.refuse(found.source.name)
    if not found.count:
        raise DataError(
            f"{found.source} holds no records: it is empty",
            "give a dataset with at least two records",
        )


def dataset_terms(context: Context) -> Terms:
    data = context.spec.data
    return terms_of(data.adapter, data.path, data.options, data.license)


def check_terms(context: Context) -> None:
    """Raises RefusedError when the dataset's terms forbid the release, and the release file does
    not accept them."""
    data = context.spec.data
    check_accepted(
        data.name or data.path.name, dataset_terms(context), [one.term for one in data.accept_terms]
    )


def _inputs(context: Context) -> dict[str, str]:
    data = context.spec.data
    listing = [(name, stamp(context.images / name)) for name in files_below(context.images)]
    own = {
        "data": _digest(context, data.path),
        "images": of_json(listing),
        "holdout": str(data.holdout),
        "seed": str(context.spec.seed),
        "group": data.group,
        "repeat": str(data.repeat),
        "fix": str(data.fix),
    }
    if data.holdout_file:
        own["holdout_file"] = _digest(context, data.holdout_file)
    return own | plugin_inputs("dataset", data.adapter, data.options)


def _digest(context: Context, path: Path) -> str:
    digests = context.workspace.digests
    return digests.sha256(path) if path.is_file() else of_json(digests.tree(path))


def _run(context: Context, out: Path) -> Prepared:
    report = context.workspace.folder / REPORT
    return prepare(
        context.spec.data,
        context.images,
        out,
        seed=context.spec.seed,
        run=context.run,
        report=report,
        **_base(context),
    )


def _base(context: Context) -> dict[str, Any]:
    """For the lengths in the report, where the tokenizer can be read in this process."""
    from importlib.util import find_spec

    if find_spec("tokenizers") is None:
        return {}
    limit = context.spec.train.options.get("max_length", 0)
    return {"base": context.base, "max_length": limit if isinstance(limit, int) else 0}


def _summary(result: Prepared) -> str:
    fixed = f", {result.fixes:,} repairs" if result.fixes else ""
    common = f", {result.shared:,} of them share something with training" if result.shared else ""
    return (
        f"{result.train:,} records to train on, {result.holdout:,} held out{common}, "
        f"{result.images:,} images{fixed}"
    )


STAGE = Stage(
    name="prepare",
    purpose="read and check the dataset, split it",
    result=Prepared,
    inputs=_inputs,
    run=_run,
    summary=_summary,
)
