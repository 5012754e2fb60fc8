"""`hubkit rehearse`"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import click

from ._options import FOLDER, as_json


@click.command("rehearse")
@click.argument("spec", type=click.Path(path_type=Path), default="release.yaml")
@click.option(
    "--folder", type=FOLDER, help="Rehearse with this tracked folder instead of a release file."
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Replace a value: train.options.rank=8.",
)
@click.option(
    "--workdir", type=FOLDER, help="Where .hubkit/ goes. [default: the release file's folder]"
)
@click.option("--data", type=FOLDER, help="Keep the hub's data here. [default: a temporary folder]")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="[default: a free one]")
@click.option("--keep", is_flag=True, help="Keep serving the pages until Ctrl-C.")
@as_json
def command(
    spec: Path,
    folder: Path | None,
    overrides: tuple[str, ...],
    workdir: Path | None,
    data: Path | None,
    port: int,
    keep: bool,
    as_json: bool,
) -> None:
    """Publish to a local hub over every protocol, with the same plugins and clients, and prove that
    it comes back unchanged.

    Runs the release up to its package; nothing leaves the machine.
    """
    from ..api.rehearse import REHEARSAL_TOKEN, rehearse
    from ..api.release import release
    from ..errors import UsageError
    from ._reporters import emit, reporter

    with reporter(as_json) as report:
        if folder is None:
            folder = release(
                spec, workdir=workdir, overrides=overrides, until="package", reporter=report
            ).folder
        if folder is None:
            raise UsageError("the release made no folder", "give a tracked folder with --folder")
        with rehearse(folder, data=data, port=port, reporter=report) as done:
            for one in done:
                if as_json:
                    from ..sdk.codec import encode

                    emit("rehearsed", encode(one))
                else:
                    click.echo(
                        f"rehearsed {one.to}: {one.files} files published, read back, downloaded: "
                        "all as in the manifest"
                    )
                    if keep:
                        click.echo(f"  {one.page}")
            if keep:
                click.echo(f"Sign in with the token {os.environ[REHEARSAL_TOKEN]}", err=True)
                click.echo("Ctrl-C stops the hub.", err=True)
                signal.sigwait({signal.SIGINT, signal.SIGTERM})
