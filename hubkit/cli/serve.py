"""`hubkit serve`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER, as_json, mapping, serving_engine


@click.command("serve")
@click.argument("folder", type=FOLDER)
@serving_engine
@click.option("--name", default="", help="The model's name in the API. [default: the folder's]")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Any address but this machine's own needs a key.",
)
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="[default: a free one]")
@click.option("--api-key-file", type=FOLDER, help="A file with the key that clients must send.")
@as_json
def command(
    folder: Path,
    engine: str,
    environment: str,
    options: tuple[str, ...],
    name: str,
    host: str,
    port: int,
    api_key_file: Path | None,
    as_json: bool,
) -> None:
    """Serve the model in FOLDER over OpenAI's API until Ctrl-C: chat completions with pictures as
    data URLs, and streaming."""
    from ..api.models import read_key, serve
    from ..errors import CancelledError
    from ._reporters import emit, reporter

    key = read_key(api_key_file) if api_key_file else None
    with (
        reporter(as_json) as report,
        serve(
            folder,
            engine=engine,
            environment=environment,
            options=mapping(options),
            name=name,
            host=host,
            port=port,
            api_key=key,
            reporter=report,
        ) as server,
    ):
        if as_json:
            emit("serving", {"url": server.url, "model": server.name})
        else:
            click.echo(f"{server.name} answers at {server.url}/v1")
            click.echo("Ctrl-C stops it.", err=True)
        try:
            server.wait()
        except (KeyboardInterrupt, CancelledError):
            return
