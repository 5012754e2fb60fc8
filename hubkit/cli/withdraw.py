"""`hubkit withdraw`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER, as_json, mapping


@click.command("withdraw")
@click.argument("folder", type=FOLDER)
@click.option(
    "--from", "to", required=True, metavar="SCHEME:TARGET", help="Where the folder was pushed to."
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="[HUB.]KEY=VALUE",
    help="An option of the hub: undo=delete.",
)
@as_json
def command(folder: Path, to: str, options: tuple[str, ...], as_json: bool) -> None:
    """Undo the push of FOLDER to a hub, as far as the hub allows, and say what stays public.

    The tag goes, then the commit is reverted. huggingface: undo=private hides the repository,
    undo=delete deletes it.
    """
    from ..api.hubs import withdraw
    from ._reporters import emit, reporter

    with reporter(as_json) as report:
        result = withdraw(folder, to, options=mapping(options), reporter=report)
    if as_json:
        from ..sdk.codec import encode

        emit("result", encode(result))
        return
    for text in result.done or ("nothing was left to undo",):
        click.echo(f"done:    {text}")
    for text in result.remains:
        click.echo(f"remains: {text}")
