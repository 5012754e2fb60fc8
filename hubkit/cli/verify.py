"""`hubkit verify`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER, as_json, mapping, where
from .completion import plugins


@click.command("verify")
@click.argument("folder", type=FOLDER)
@click.option("--at", required=True, metavar="SCHEME:TARGET", help="git:URL, huggingface:ORG/NAME")
@click.option(
    "--revision", default="", help="A commit, tag or branch. [default: the release's tag]"
)
@click.option(
    "--deep",
    is_flag=True,
    help="Download afresh, hash every byte, check the structure, ask the model.",
)
@click.option(
    "--engine", default="transformers", show_default=True, shell_complete=plugins("engine")
)
@where
@click.option(
    "--option", "options", multiple=True, metavar="[HUB.]KEY=VALUE", help="An option of the hub."
)
@as_json
def command(
    folder: Path,
    at: str,
    revision: str,
    deep: bool,
    engine: str,
    environment: str,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare names, sizes and sha256 of what a hub has with FOLDER's manifest: at the release's
    tag and on its branch, or only at --revision."""
    from ..api.hubs import verify
    from ._reporters import emit, reporter

    with reporter(as_json) as report:
        result = verify(
            folder,
            at,
            revision=revision,
            deep=deep,
            options=mapping(options),
            engine=engine,
            environment=environment,
            reporter=report,
        )
    if as_json:
        from ..sdk.codec import encode

        emit("result", encode(result))
        return
    click.echo(f"{at} at {result.revision}: {result.files} files, all as in the manifest")
    if deep:
        from ..api.models import show_transcript

        click.echo(show_transcript(result.transcript))
