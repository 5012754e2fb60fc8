"""`hubkit convert`"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from ._options import FOLDER, as_json


@click.command("convert")
@click.argument("source", type=FOLDER, metavar="SRC")
@click.argument("out", type=FOLDER)
@click.option(
    "--to",
    required=True,
    type=click.Choice(["hf", "official"]),
    help="hf: as transformers loads it without remote code.",
)
@click.option(
    "--like",
    type=FOLDER,
    help="An official folder of the same model, weights or not; for --to official.",
)
@click.option(
    "--jobs", type=click.IntRange(0), default=0, help="Threads. [default: one per processor]"
)
@as_json
def command(
    source: Path,
    out: Path,
    to: Literal["hf", "official"],
    like: Path | None,
    jobs: int,
    as_json: bool,
) -> None:
    """Convert SRC to the other layout, with tokenizer and processor, and write it to OUT.

    No number changes: there and back gives the same weights files, byte for byte.
    """
    from ..api.folders import convert
    from ._reporters import emit, reporter

    with reporter(as_json) as report:
        result = convert(source, out, to=to, like=like, jobs=jobs, reporter=report)
    if as_json:
        from ..sdk.codec import encode

        emit("result", encode(result))
    else:
        click.echo(f"{out}: {result.tensors} tensors in {len(result.files)} files")
