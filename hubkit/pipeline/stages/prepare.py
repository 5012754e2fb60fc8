"""prepare: a dataset in any format that a plugin reads -> validated records, split for training and
evaluation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...data.output import own_line
from ...data.preparation import HOLDOUT, TRAIN, Preparation, PrepareSettings
from ...data.shown import check_shown
from ...data.special import tokens_of
from ...data.terms import check_accepted, terms_of
from ...digests import files_below, of_json, stamp
from ...sdk import Terms
from ..stage import Context, Stage, plugin_inputs

IMAGES = "images.json"
REPORT = "data-report.html"

__all__ = ["HOLDOUT", "STAGE", "TRAIN", "Prepared", "check_terms", "dataset_terms"]


@dataclass(frozen=True)
class Prepared:
    """Counts of records and of distinct images. `shared` held-out records have a picture or their
    text in common with records that are trained on; `fixes` counts repairs."""

    train: int
    holdout: int
    images: int
    shared: int = 0
    fixes: int = 0


def dataset_terms(context: Context) -> Terms:
    data = context.spec.data
    return terms_of(data.format, data.path, data.options, data.license)


def check_terms(context: Context) -> None:
    """Raises RefusedError when the dataset's terms forbid the release, and the release file does
    not accept them."""
    data = context.spec.data
    accepted = [one.term for one in data.accept_terms]
    check_accepted(data.title, dataset_terms(context), accepted)


def _inputs(context: Context) -> dict[str, str]:
    data = context.spec.data
    listing = [(name, stamp(context.images / name)) for name in files_below(context.images)]
    own = {
        "data": context.digest(data.path),
        "images": of_json(listing),
        "holdout": str(data.holdout),
        "seed": str(context.spec.seed),
        "group": data.group,
        "repeat": str(data.repeat),
        "fix": str(data.fix),
        "tokens": of_json(tokens_of(context.base)),
        "shown": of_json(_shown(context)),
    }
    if data.holdout_file:
        own["holdout_file"] = context.digest(data.holdout_file)
    return own | plugin_inputs("dataset", data.format, data.options)


def _run(context: Context, out: Path) -> Prepared:
    report = context.workspace.folder / REPORT
    work = Preparation(
        context.spec.data.path,
        out,
        _settings(context),
        line=own_line,
        base=context.base,
    )
    work.read(context.run, report)
    for what, count in work.converted().items():
        context.run.note(f"{count:,} pictures: {what}")
    context.run.note(f"about the data: {report}")
    work.write()
    check_shown(out / TRAIN, out / HOLDOUT, **_shown(context))
    digests = work.digests()
    (out / IMAGES).write_text(json.dumps(digests, indent=0, sort_keys=True) + "\n", "utf-8")
    common = work.shared.records if work.shared else 0
    return Prepared(work.train, work.holdout, len(digests), common, work.fixes)


def _settings(context: Context) -> PrepareSettings:
    data, limit = context.spec.data, context.spec.train.options.get("max_length", 0)
    return PrepareSettings(
        format=data.format,
        options=data.options,
        images=context.images,
        fix=data.fix,
        repeat=data.repeat,
        holdout=data.holdout_file or data.holdout,
        group=data.group,
        seed=context.spec.seed,
        max_length=limit if isinstance(limit, int) else 0,
        license=data.license,
    )


def _shown(context: Context) -> dict[str, Any]:
    """What of the data the release shows."""
    spec = context.spec
    return {
        "samples": spec.card.samples > 0,
        "asked": not spec.smoke.prompts,
        "slices": spec.evaluate.slices,
        "author_email": spec.author.email,
    }


def _summary(result: Prepared) -> str:
    fixed = f", {result.fixes:,} repairs" if result.fixes else ""
    common = f", {result.shared:,} of them share something with training" if result.shared else ""
    return (
        f"{result.train:,} records to train on, {result.holdout:,} held out{common}, "
        f"{result.images:,} images{fixed}"
    )


STAGE = Stage(
    name="prepare",
    result=Prepared,
    inputs=_inputs,
    run=_run,
    summary=_summary,
)
