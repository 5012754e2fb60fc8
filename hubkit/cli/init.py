"""`hubkit init`"""

from __future__ import annotations

from pathlib import Path

import click


@click.command("init")
@click.argument("path", type=click.Path(path_type=Path), default="release.yaml")
@click.option("--force", is_flag=True, help="Replace the file when it exists.")
def command(path: Path, force: bool) -> None:
    """Write a commented release file to start from."""
    from ..api.release import init

    written = init(path, force=force)
    click.echo(f"wrote {written}; edit it, then: hubkit plan {written}")
