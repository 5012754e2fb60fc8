"""`hubkit init`"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from ..errors import HubkitError
from ._options import FOLDER

if TYPE_CHECKING:
    from ..api.init import Draft

T = TypeVar("T")


@click.command("init")
@click.argument("path", type=FOLDER, default="release.yaml")
@click.option("--base", type=FOLDER, help="The folder of the model that is fine-tuned.")
@click.option("--data", type=FOLDER, help="The dataset: a file or a folder.")
@click.option("--images", type=FOLDER, help="The folder of its pictures, where not near it.")
@click.option("--adapter", type=FOLDER, help="A LoRA that you have. [default: train one]")
@click.option(
    "--to",
    multiple=True,
    metavar="SCHEME:TARGET",
    help="Where it is published; may be repeated. [default: a git repository here]",
)
@click.option("--name", default="", help="The release's name. [default: that of the first place]")
@click.option("--author", default="", metavar="'NAME <E-MAIL>'", help="[default: git's]")
@click.option("--license", default="", help="The base's licence, where its folder states none.")
@click.option("--template", is_flag=True, help="Write a commented template instead; ask nothing.")
def command(
    path: Path,
    base: Path | None,
    data: Path | None,
    images: Path | None,
    adapter: Path | None,
    to: tuple[str, ...],
    name: str,
    author: str,
    license: str,
    template: bool,
) -> None:
    """Look at your base, data and adapter, and write a release file that needs no edit. What is not
    given is asked for on a terminal."""
    from ..api import init as api
    from ._reporters import reporter

    path = api.new_file(path)
    if template:
        api.init(path)
        click.echo(f"wrote {path}; edit it, then: hubkit plan {path}")
        return
    author = author or api.git_author()
    draft: Draft | None = None
    if sys.stdin.isatty() and sys.stderr.isatty() and not (base and data and author):
        draft = _asked(base, data, images, adapter, to, name, author, license)
    else:
        _require(base=base, data=data, author=author)
    with reporter(as_json=False) as report:  # a bar that moves would write over the questions
        if draft:
            api.write(draft, path, report)
        else:
            api.init(
                path,
                base=base,
                data=data,
                images=images,
                adapter=adapter,
                to=to,
                name=name,
                author=author,
                license=license,
                reporter=report,
            )
    click.echo(f"wrote {path}; next: hubkit plan {path}")


def _require(**asked: object) -> None:
    if missing := [f"--{what}" for what, value in asked.items() if not value]:
        raise click.UsageError(
            f"Missing {', '.join(missing)}, and this is no terminal to ask on. "
            "See hubkit init --help."
        )


def _asked(
    base: Path | None,
    data: Path | None,
    images: Path | None,
    adapter: Path | None,
    to: tuple[str, ...],
    name: str,
    author: str,
    license: str,
) -> Draft:
    """Each answer is looked into before the next question."""
    from dataclasses import replace

    from ..api import init as api
    from ..api.init import Draft

    model = _given(base, api.find_base, "Base model (a folder)")
    if not license and (why := api.unlicensed(model)):
        _tell(why)
        license = _ask("Licence of the base (mit, apache-2.0, ...)", str)
    _tell(f"{api.base_name(model)}, of the family {model.family.name}")
    found = _given(data, lambda file: api.find_data(file, images), "Dataset (a file or a folder)")
    where = f", pictures in {found.images}" if found.images else ", no pictures"
    _tell(f"read with {found.format}{where}; the card calls it {found.title!r}")
    tuned = adapter and api.find_adapter(adapter, model)
    if tuned is None:
        tuned = _ask(
            "Adapter that you have (empty: train one)",
            lambda text: api.find_adapter(Path(text).expanduser(), model) if text else None,
            default="",
        )
    if author:
        signed = api.parse_author(author)
    else:
        signed = _ask("Author (Name <e-mail>)", api.parse_author)
    draft = Draft(model, found, signed, tuned, to, name, license)
    if to:
        return draft
    return _ask(
        "Publish to (SCHEME:TARGET; several with spaces between)",
        lambda text: api.checked(replace(draft, to=tuple(text.split()))),
        default=draft.targets[0],
    )


def _given(value: Path | None, find: Callable[[Path], T], question: str) -> T:
    """What `find` makes of `value` or, where there is none, of an answer."""
    if value is not None:
        return find(value)
    return _ask(question, lambda text: find(Path(text).expanduser()))


def _ask(question: str, read: Callable[[str], T], default: str | None = None) -> T:
    """Asks until `read` takes the answer."""

    def taken(text: str) -> T:
        try:
            return read(text.strip())
        except HubkitError as error:
            raise click.UsageError(f"{error.message}\n  {error.remedy}") from None

    shown = bool(default)
    found: T = click.prompt(question, default, value_proc=taken, show_default=shown, err=True)
    return found


def _tell(text: str) -> None:
    click.echo(f"  {text}", err=True)
