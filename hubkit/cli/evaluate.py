"""`hubkit evaluate`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER, as_json, engine, mapping
from .completion import plugins


@click.command("evaluate")
@click.argument("folder", type=FOLDER)
@click.option(
    "--data", required=True, type=FOLDER, help="The dataset's file, or the folder that holds it."
)
@click.option("--images", type=FOLDER, help="Where its images are. [default: beside the file]")
@click.option("--baseline", type=FOLDER, help="The base model, to compare with.")
@click.option(
    "--format",
    default="llava_json",
    show_default=True,
    shell_complete=plugins("dataset"),
    help="The plugin that reads the dataset.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    default=["exact_match"],
    show_default=True,
    shell_complete=plugins("metric"),
    help="A metric plugin; repeatable.",
)
@click.option(
    "--slice",
    "slices",
    multiple=True,
    metavar="FIELD",
    help="Also score by the values of this field of the records' meta; repeatable.",
)
@click.option(
    "--samples", type=FOLDER, help="Write one row per record to this .jsonl or .parquet file."
)
@click.option("--limit", type=click.IntRange(1), help="Use at most this many records.")
@click.option(
    "--workdir", type=FOLDER, help="Keep the answers here, so that a killed run continues."
)
@click.option(
    "--processes",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="So many of the engine at once; 0: one for each GPU.",
)
@engine
@as_json
def command(
    folder: Path,
    data: Path,
    images: Path | None,
    baseline: Path | None,
    format: str,
    metrics: tuple[str, ...],
    slices: tuple[str, ...],
    samples: Path | None,
    limit: int | None,
    workdir: Path | None,
    processes: int,
    engine: str,
    environment: str,
    options: tuple[str, ...],
    max_new_tokens: int,
    as_json: bool,
) -> None:
    """Score the model in FOLDER by its greedy answers, with 95 % intervals. With --baseline, score
    its base as well and test the difference."""
    from ..api.models import evaluate
    from ._reporters import emit, reporter

    with reporter(as_json) as report:
        result = evaluate(
            folder,
            data,
            images=images,
            baseline=baseline,
            format=format,
            metrics=metrics,
            slices=slices,
            samples=samples,
            limit=limit,
            workdir=workdir,
            processes=processes,
            engine=engine,
            environment=environment,
            options=mapping(options),
            max_new_tokens=max_new_tokens,
            reporter=report,
        )
    if as_json:
        from ..sdk.codec import encode

        emit("result", {**encode(result), "score": result.score, "base_score": result.base_score})
    else:
        from ._show import evaluated

        evaluated(result)
