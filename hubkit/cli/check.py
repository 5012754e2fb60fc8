"""`hubkit check`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER, as_json


@click.command("check")
@click.argument("folders", metavar="FOLDER...", nargs=-1, required=True, type=FOLDER)
@click.option("--author-email", default="", help="The one address that the texts may hold.")
@as_json
def command(folders: tuple[Path, ...], author_email: str, as_json: bool) -> None:
    """Check model or adapter folders, whoever made them. Exits 3 when something is wrong; `hubkit
    track` refuses the same. Only the headers of weights are read: `hubkit merge` finds NaN, and
    `hubkit smoke` a model that does not answer.

    A file stands for the model folder that it lies in; files in none are passed over.
    """
    from ..api.check import check, model_folders
    from ..errors import RefusedError

    wrong = {}
    for folder in model_folders(folders):
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
            wrong[folder] = len(found)
    if wrong:
        told = ", ".join(f"{folder} has {count} problem(s)" for folder, count in wrong.items())
        raise RefusedError(told, "fix what is listed above")
