"""`hubkit quickstart`"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ._options import FOLDER, as_json


@click.command("quickstart")
@click.option(
    "--workdir",
    type=FOLDER,
    default="quickstart",
    show_default=True,
    help="Where everything is written.",
)
@as_json
def command(workdir: Path, as_json: bool) -> None:
    """Teach a tiny InternVL2-format model real handwriting, release it into a local Git LFS hub,
    clone it back and prove it.

    Takes a few minutes on two CPU cores. A second run finds everything done.
    """
    from ..api.quickstart import quickstart
    from ._reporters import emit, reporter

    with reporter(as_json) as report:
        done = quickstart(workdir, report)
    if as_json:
        from ..sdk.codec import encode

        emit("result", encode(done.result))
        return
    from ._show import release_result

    release_result(done.result)
    for one in done.rehearsed:
        click.echo(
            f"rehearsed:      {one.to}: {one.files} files published, read back and downloaded with "
            "equal digests"
        )
    program = sys.argv[0] if sys.argv[0].endswith("hubkit") else "hubkit"
    click.echo(f"\nsee:  {done.card}")
    click.echo(f"next: git clone {done.repository} my-clone && cd my-clone && git lfs pull")
    click.echo(
        f"      {program} smoke my-clone --image {done.image} --prompt 'Which digit is this?'"
    )
    click.echo(f"      edit {done.spec}, then: {program} plan {done.spec}")
