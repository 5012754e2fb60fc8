"""`hubkit evaluate`"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from ._options import FOLDER, as_json, engine, environment_field, mapping


@click.command("evaluate")
@click.argument("folder", type=FOLDER)
@click.option("--data", required=True, type=FOLDER, help="The dataset's file, or the folder that holds it.")
@click.option("--images", type=FOLDER, help="Where its images are. [default: beside the file]")
@click.option("--baseline", type=FOLDER, help="The base model, to compare with.")
@click.option("--adapter", default="llava_json", show_default=True, help="The plugin that reads the dataset.")
@click.option("--metric", type=click.Choice(["exact_match", "contains"]), default="exact_match", show_default=True)
@click.option("--limit", type=click.IntRange(1), help="At most so many records.")
@engine
@as_json
def command(
    folder: Path,
    data: Path,
    images: Path | None,
    baseline: Path | None,
    adapter: str,
    metric: Literal["exact_match", "contains"],
    limit: int | None,
    engine: str,
    environment: str,
    options: tuple[str, ...],
    max_new_tokens: int,
    as_json: bool,
) -> None:
    """Score the model in FOLDER by greedy answers, beside its base when --baseline names it."""
    from .. import api
    from ._reporters import emit, reporter

    with reporter(as_json) as report:
        result = api.evaluate(
            folder, data, images=images, baseline=baseline, adapter=adapter, metric=metric, limit=limit, engine=engine,
            environment=environment_field(environment), options=mapping(options), max_new_tokens=max_new_tokens, reporter=report,
        )  # fmt: skip
    if as_json:
        from ..sdk.codec import encode

        emit("result", {**encode(result), "score": result.score, "base_score": result.base_score})
    else:
        from ._show import evaluated

        evaluated(result)
