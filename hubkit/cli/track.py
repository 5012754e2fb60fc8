"""`hubkit track`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER, as_json


@click.command("track")
@click.argument("folder", type=FOLDER)
@click.option("--name", default="", help="The repository's name. [default: the folder's]")
@click.option("--tag", default="v1.0.0", show_default=True)
@click.option("--author-name", default="hubkit", show_default=True)
@click.option(
    "--author-email",
    default="hubkit@localhost",
    show_default=True,
    help="Of the commit; the one address that the texts may hold.",
)
@as_json
def command(
    folder: Path, name: str, tag: str, author_name: str, author_email: str, as_json: bool
) -> None:
    """Make FOLDER a release: checked as by `hubkit check`, with a manifest, and committed with its
    safetensors in Git LFS, without copying them."""
    from ..api.folders import Author, track

    result = track(folder, name=name, tag=tag, author=Author(name=author_name, email=author_email))
    if as_json:
        from ..sdk.codec import encode
        from ._reporters import emit

        emit("result", encode(result))
    else:
        click.echo(
            f"{folder}: {result.files} files, {result.in_lfs} in Git LFS, commit {result.commit} "
            f"(tag {result.tag})"
        )
