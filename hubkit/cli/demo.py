"""`hubkit demo`"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from ._options import FOLDER, as_json, mapping, serving_engine


@click.command("demo")
@click.argument("folder", metavar="FOLDER|SPEC", type=FOLDER)
@click.option(
    "--compare",
    type=FOLDER,
    metavar="BASE",
    help="Another model's folder, such as the base; both answer, side by side.",
)
@serving_engine
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="[default: a free one]")
@click.option(
    "--examples",
    type=FOLDER,
    help="A records file (JSON Lines) to start from. [default: drawn pictures]",
)
@click.option("--images", type=FOLDER, help="Where its pictures are. [default: the file's folder]")
@click.option(
    "--lang", "language", default="auto", show_default=True, type=click.Choice(["auto", "en", "zh"])
)
@as_json
def command(
    folder: Path,
    compare: Path | None,
    engine: str,
    environment: str,
    options: tuple[str, ...],
    port: int,
    examples: Path | None,
    images: Path | None,
    language: Literal["auto", "en", "zh"],
    as_json: bool,
) -> None:
    """Chat with the model in FOLDER about pictures, on a local page, until Ctrl-C. Nothing leaves
    this machine, unless the engine asks a server elsewhere. With SPEC (a release.yaml): with what
    that release made, beside its base, and with examples from what it held out."""
    from ..api.models import demo
    from ..errors import CancelledError
    from ._reporters import emit, reporter

    with (
        reporter(as_json) as report,
        demo(
            folder,
            compare=compare,
            engine=engine,
            environment=environment,
            options=mapping(options),
            examples=examples,
            images=images,
            language=language,
            port=port,
            reporter=report,
        ) as page,
    ):
        if as_json:
            emit("demo", {"url": page.url, "models": [server.name for server in page.servers]})
        else:
            click.echo(f"the demo is at {page.url}")
            click.echo("Ctrl-C stops it.", err=True)
        try:
            page.wait()
        except (KeyboardInterrupt, CancelledError):
            return
