"""`hubkit smoke`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER, as_json, engine, mapping


@click.command("smoke")
@click.argument("folder", type=FOLDER)
@click.option(
    "--image",
    "images",
    multiple=True,
    type=FOLDER,
    help="A picture to ask about; may be repeated. [default: a drawn one]",
)
@click.option("--prompt", "prompts", multiple=True, help="One per turn, in order; may be repeated.")
@engine
@as_json
def command(
    folder: Path,
    images: tuple[Path, ...],
    prompts: tuple[str, ...],
    engine: str,
    environment: str,
    options: tuple[str, ...],
    max_new_tokens: int,
    as_json: bool,
) -> None:
    """Ask the model in FOLDER about pictures, turn by turn. Exits 3 when an answer is empty,
    endless or repeats itself."""
    from ..api.models import show_transcript, smoke
    from ._reporters import emit, reporter

    given = {"prompts": prompts} if prompts else {}
    with reporter(as_json) as report:
        result = smoke(
            folder,
            images=images,
            engine=engine,
            environment=environment,
            options=mapping(options),
            max_new_tokens=max_new_tokens,
            reporter=report,
            **given,
        )
    if as_json:
        from ..sdk.codec import encode

        emit("result", encode(result))
    else:
        click.echo(show_transcript(result.transcript))
        measured = "".join(
            f", {name.replace('_', ' ')} {value:.4g}" for name, value in result.numbers.items()
        )
        click.echo(
            f"passed with {engine}; loaded in {result.load_seconds:.1f} s, first answer after "
            f"{result.first_seconds:.2f} s{measured}"
        )
