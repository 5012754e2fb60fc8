"""`hubkit push`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER, as_json, mapping


@click.command("push")
@click.argument("folder", type=FOLDER)
@click.option("--to", "targets", multiple=True, required=True, metavar="SCHEME:TARGET", help="git:URL; may be repeated.")
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help="An option of the hub.")
@as_json
def command(folder: Path, targets: tuple[str, ...], options: tuple[str, ...], as_json: bool) -> None:
    """Push a tracked FOLDER to hubs. Safe to repeat: what is there is not sent again."""
    from .. import api
    from ._reporters import emit, reporter

    with reporter(as_json) as report:
        result = api.push(folder, targets, options=mapping(options), reporter=report)
    for receipt in result.receipts:
        if as_json:
            from ..sdk.codec import encode

            emit("result", encode(receipt))
        else:
            click.echo(f"published {receipt.repository} {receipt.tag} at {receipt.url} ({receipt.revision[:12]})")
