"""What asks a model: smoke test, evaluation, serving, demo."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.preparation import read_checked
from ..demo_page.launch import demo
from ..digests import FileDigests, of_json
from ..environments import Environment, EnvironmentLike
from ..errors import UsageError
from ..evaluation.judging import Answered, score
from ..evaluation.results import Evaluated
from ..evaluation.samples import check_suffix, write_samples
from ..evaluation.score import check_references, evaluated
from ..inference.questions import AFTER, BEFORE, Questioning, ask_each, view_for
from ..inference.serving import read_key, serve
from ..inference.shares import processes_here
from ..inference.smoke import PROMPTS, Smoked, drawn_picture, picture_record
from ..inference.smoke import show as show_transcript
from ..inference.smoke import smoke as smoke_test
from ..reporting import SilentReporter
from ..sdk import Run
from ..sdk.codec import encode
from ..weights.model import Model, open_model

__all__ = ["demo", "evaluate", "read_key", "serve", "show_transcript", "smoke"]

Folder = str | Path


def smoke(
    folder: Folder,
    *,
    images: Sequence[Folder] = (),
    prompts: Sequence[str] = PROMPTS,
    engine: str = "transformers",
    environment: EnvironmentLike = "current",
    options: Mapping[str, Any] | None = None,
    max_new_tokens: int = 64,
    reporter: Run | None = None,
) -> Smoked:
    """Asks the model in `folder` each prompt in turn about each image; without images, about a
    drawn one.

    Raises:
        RefusedError: an answer is empty, endless, repeats itself or holds special tokens; the
            transcript is in the message.
    """
    where, run = Environment.parse(environment), reporter or SilentReporter()
    model = open_model(Path(folder), where)
    with tempfile.TemporaryDirectory(prefix="hubkit-smoke-") as temporary:
        work = Path(temporary)
        pictures = [_image(Path(image)) for image in images] or [drawn_picture(work / "drawn.png")]
        records = [picture_record(picture, tuple(prompts)) for picture in pictures]
        questioning = Questioning(
            engine,
            where,
            options or {},
            max_new_tokens,
            records,
            Path("/"),
        )
        return smoke_test(
            questioning, model, view_for(engine, model, work / "native", run), work / "out", run
        )


def _image(path: Path) -> Path:
    if not path.is_file():
        raise UsageError(f"{path}: no such image", "correct --image")
    return path.resolve()


def evaluate(
    folder: Folder,
    data: Folder,
    *,
    images: Folder | None = None,
    baseline: Folder | None = None,
    format: str = "llava_json",
    data_options: Mapping[str, Any] | None = None,
    metrics: Sequence[str] = ("exact_match",),
    slices: Sequence[str] = (),
    samples: Folder | None = None,
    engine: str = "transformers",
    environment: EnvironmentLike = "current",
    options: Mapping[str, Any] | None = None,
    limit: int | None = None,
    max_new_tokens: int = 64,
    workdir: Folder | None = None,
    processes: int = 1,
    reporter: Run | None = None,
) -> Evaluated:
    """Greedy answers of the model in `folder` (and of `baseline`) to every record of `data`, scored
    by each of `metrics`.

    `slices` are fields of the records' meta to score apart; `samples` a .jsonl or .parquet file for
    one row per record. With `workdir` the answers so far survive a kill: the same call continues,
    with any number of `processes` of the engine at once (0: one for each GPU).
    """
    run, source = reporter or SilentReporter(), _data_file(Path(data))
    pictures = Path(images) if images else source.parent
    rows = Path(samples) if samples else None
    if rows:
        check_suffix(rows)
    records, digests = read_checked(format, source, pictures, data_options or {}, run)
    records = records[:limit]
    check_references(metrics, records, slices)
    questioning = Questioning(
        engine,
        where := Environment.parse(environment),
        options or {},
        max_new_tokens,
        records,
        pictures.resolve(),
        processes=processes_here(processes),
    )
    models = {BEFORE: open_model(Path(baseline), where)} if baseline else {}
    models[AFTER] = open_model(Path(folder), where)
    with contextlib.ExitStack() as stack:
        work = (
            _answers_folder(Path(workdir), questioning, models, digests)
            if workdir
            else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hubkit-evaluate-")))
        )
        views = {name: (model, work / f"{name}-native") for name, model in models.items()}
        given = ask_each(questioning, views, work, run)
        before = given.get(BEFORE)
        answered = Answered(records, given[AFTER][1], before and before[1])
        scores = score(metrics, answered)
        if rows:
            write_samples(rows, answered, scores)
        return evaluated(scores, answered, slices)


def _answers_folder(
    workdir: Path, questioning: Questioning, models: Mapping[str, Model], images: Mapping[str, str]
) -> Path:
    """Where the answers to these questions, by these models in this way, are kept."""
    cache = FileDigests(workdir / "digests.json")
    how = (
        questioning.engine,
        questioning.options,
        questioning.environment,
        questioning.max_new_tokens,
    )
    asked = [
        str(how),
        encode(questioning.records),
        images,
        {name: cache.tree(model.folder) for name, model in models.items()},
    ]
    cache.save()
    return workdir / of_json(asked)[:16]


def _data_file(data: Path) -> Path:
    """`data` itself, or the one .json or .jsonl file in a folder."""
    if not data.is_dir():
        return data
    found = sorted(p for p in data.iterdir() if p.suffix in (".json", ".jsonl"))
    if len(found) != 1:
        raise UsageError(
            f"{data} holds {len(found)} .json or .jsonl files; one is expected",
            "name the file with --data",
        )
    return found[0]
