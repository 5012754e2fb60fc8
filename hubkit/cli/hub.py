"""`hubkit hub`"""

from __future__ import annotations

import logging
from pathlib import Path

import click

from ._options import FOLDER, as_json


@click.group("hub")
def command() -> None:
    """A hub of your own to rehearse on: Hugging Face, ModelScope, Git LFS and git protocols, and a
    web page."""


@command.command("serve")
@click.option(
    "--port",
    default=8765,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="0 takes a free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Loopback only, unless you name another address.",
)
@click.option(
    "--data", type=FOLDER, default="hub", show_default=True, help="Where it keeps everything."
)
@click.option(
    "--token-file",
    type=FOLDER,
    help="A file with the token to accept.  [default: HUBKIT_HUB_TOKEN, else a new one]",
)
@as_json
def serve_command(port: int, host: str, data: Path, token_file: Path | None, as_json: bool) -> None:
    """Serve the hub until interrupted, and show how clients reach it.

    A token is never an argument: it comes from --token-file or from the environment variable
    HUBKIT_HUB_TOKEN. Without either, a new one is made and shown once.
    """
    from ..api.rehearse import serve_until_interrupted, token_from
    from ._reporters import emit

    logging.disable(logging.NOTSET)  # a fault of the hub's own is shown here

    token = token_from(token_file)
    with serve_until_interrupted(data, port=port, host=host, token=token) as hub:
        shown = {} if token else {"token": hub.token}
        if as_json:
            emit("hub", {"url": hub.url, "data": str(data), **shown})
        else:
            click.echo(f"rehearsal hub at {hub.url}, data in {data}")
            if not token:
                click.echo(f"token (shown once): {hub.token}")
            click.echo(f"  Hugging Face  HF_ENDPOINT={hub.url} HF_TOKEN=...")
            click.echo(f"  ModelScope    MODELSCOPE_ENDPOINT={hub.url} MODELSCOPE_API_TOKEN=...")
            click.echo(
                f"  git           {hub.url}/organisation/name.git (any user name, the token as "
                "password)"
            )
            click.echo("Ctrl-C stops it.")
