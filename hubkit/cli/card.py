"""`hubkit card`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER


@click.command("card")
@click.argument("folder", type=FOLDER)
@click.option(
    "--base-name", required=True, help="The base model's repository: OpenGVLab/InternVL2-2B."
)
@click.option("--name", default="", help="The repository's name. [default: the folder's]")
@click.option("--tag", default="v1.0.0", show_default=True)
@click.option("--license", default="", help="Only when the folder's own files do not say it.")
@click.option("--title", default="")
@click.option("--summary", default="", help="One sentence on what the model is for.")
@click.option("--language", "languages", multiple=True, default=("en",), show_default=True)
def command(
    folder: Path,
    base_name: str,
    name: str,
    tag: str,
    license: str,
    title: str,
    summary: str,
    languages: tuple[str, ...],
) -> None:
    """Write README.md and README.zh-CN.md for FOLDER from what the folder says."""
    from ..api.folders import card

    for path in card(
        folder,
        base_name=base_name,
        name=name,
        tag=tag,
        license=license,
        title=title,
        summary=summary,
        languages=languages,
    ):
        click.echo(folder / path)
