"""`hubkit push`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER, as_json, mapping


@click.command("push")
@click.argument("folder", type=FOLDER)
@click.option(
    "--to",
    "targets",
    multiple=True,
    required=True,
    metavar="SCHEME:TARGET",
    help="git:URL, huggingface:ORG/NAME; may be repeated.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="[HUB.]KEY=VALUE",
    help="An option of the hubs, or of one.",
)
@click.option(
    "--parallel", default=2, show_default=True, type=click.IntRange(1, 16), help="Hubs at once."
)
@click.option(
    "--connections",
    default=8,
    show_default=True,
    type=click.IntRange(1, 64),
    help="For all hubs together.",
)
@click.option(
    "--limit",
    default=0.0,
    type=click.FloatRange(0),
    metavar="MB/S",
    help="Bandwidth of all hubs together.",
)
@as_json
def command(
    folder: Path,
    targets: tuple[str, ...],
    options: tuple[str, ...],
    parallel: int,
    connections: int,
    limit: float,
    as_json: bool,
) -> None:
    """Push a tracked FOLDER to hubs, several at once. Safe to repeat: what is there is not sent
    again."""
    from ..api.hubs import Upload, push
    from ._reporters import emit, reporter

    upload = Upload(parallel=parallel, connections=connections, max_mb_per_second=limit)
    with reporter(as_json) as report:
        result = push(folder, targets, options=mapping(options), upload=upload, reporter=report)
    for receipt in result.receipts:
        if as_json:
            from ..sdk.codec import encode

            emit("result", encode(receipt))
        else:
            click.echo(
                f"published {receipt.repository} {receipt.tag} at {receipt.url} "
                f"({receipt.revision[:12]})"
            )
