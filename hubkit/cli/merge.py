"""`hubkit merge`"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from ._options import FOLDER, as_json


def _weighted(text: str) -> tuple[Path, float]:
    """`ADAPTER=0.5`; without a weight it is 1."""
    path, equals, weight = text.rpartition("=")
    try:
        return (Path(path), float(weight)) if equals else (Path(text), 1.0)
    except ValueError:
        raise click.BadParameter(
            f"{text!r}: the weight {weight!r} is not a number", param_hint="--then"
        ) from None


@click.command("merge")
@click.argument("base", type=FOLDER)
@click.argument("adapter", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option(
    "--rounding",
    type=click.Choice(["once", "xtuner"]),
    default="once",
    show_default=True,
    help="once: float32, rounded at the end; xtuner: as XTuner's converter rounds.",
)
@click.option(
    "--layout",
    type=click.Choice(["as_base", "official", "hf"]),
    default="as_base",
    show_default=True,
    help="Of OUT: BASE's own, the official one, or transformers' own (hf).",
)
@click.option(
    "--then",
    "others",
    multiple=True,
    metavar="ADAPTER=WEIGHT",
    help="Merge another adapter after it, its change times WEIGHT.",
)
@click.option(
    "--jobs", type=click.IntRange(0), default=0, help="Threads. [default: one per processor]"
)
@as_json
def command(
    base: Path,
    adapter: Path,
    out: Path,
    rounding: Literal["once", "xtuner"],
    layout: Literal["as_base", "official", "hf"],
    others: tuple[str, ...],
    jobs: int,
    as_json: bool,
) -> None:
    """Merge ADAPTER into BASE and write the model folder OUT, in BASE's own layout.

    Every adapter key must be used and every base tensor accounted for, or nothing is written.
    """
    from ..api.folders import merge
    from ._reporters import emit, reporter

    with reporter(as_json) as report:
        result = merge(
            base,
            [(adapter, 1.0), *map(_weighted, others)],
            out,
            rounding=rounding,
            layout=layout,
            jobs=jobs,
            reporter=report,
        )
    if as_json:
        from ..sdk.codec import encode

        emit("result", encode(result))
    else:
        click.echo(f"{out}: {result.summary}")
