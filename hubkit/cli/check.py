"""`hubkit check`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER, as_json


@click.command("check")
@click.argument("folder", type=FOLDER)
@click.option("--author-email", default="", help="The one address that the texts may hold.")
@as_json
def command(folder: Path, author_email: str, as_json: bool) -> None:
    """Check a model or adapter folder, whoever made it. Exits 3 when something is wrong; `hubkit
    track` refuses the same. Only the headers of weights are read: `hubkit merge` finds NaN, and
    `hubkit smoke` a model that does not answer.
    """
    from ..api.check import check
    from ..errors import RefusedError

    found = check(folder, author_email=author_email)
    if as_json:
        from ..sdk.codec import encode
        from ._reporters import emit

        for problem in found:
            emit("problem", encode(problem))
        emit("result", {"folder": str(folder), "problems": len(found)})
    elif found:
        from ._show import problems

        problems(found)
    else:
        click.echo(f"{folder}: sound")
    if found:
        raise RefusedError(f"{folder} has {len(found)} problem(s)", "fix what is listed above")
