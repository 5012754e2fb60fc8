"""`hubkit assemble`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER, as_json
from .completion import plugins


@click.command("assemble")
@click.argument("llm", type=FOLDER)
@click.argument("vision", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option(
    "--family",
    required=True,
    metavar="NAME",
    shell_complete=plugins("family"),
    help="The family of the base, such as llava.",
)
@click.option(
    "--jobs", type=click.IntRange(0), default=0, help="Threads. [default: one per processor]"
)
@as_json
def command(llm: Path, vision: Path, out: Path, family: str, jobs: int, as_json: bool) -> None:
    """Make the base OUT of the language model in LLM and the vision tower in VISION.

    What connects the two is new: train it, or merge an adapter that holds it.
    """
    from ..api.folders import assemble
    from ._reporters import emit, reporter

    with reporter(as_json) as report:
        result = assemble(llm, vision, out, family=family, jobs=jobs, reporter=report)
    if as_json:
        from ..sdk.codec import encode

        emit("result", encode(result))
    else:
        click.echo(f"{out}: {result.tensors} tensors in {len(result.files)} files")
