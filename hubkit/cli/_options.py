"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from .completion import plugins, stages

F = TypeVar("F", bound=Callable[..., Any])

FOLDER = click.Path(path_type=Path)
QUIET = "hubkit.quiet"
"""In a context's `meta`: whether progress and notes are left out."""


def _quiet(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta[QUIET] = value or context.meta.get(QUIET, False)


def loudness() -> list[click.Option]:
    """`--quiet` and `--verbose`, which every command has. The entry point looks for both itself:
    they say how to tell errors, those of the command line too."""
    return [
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            expose_value=False,
            callback=_quiet,
            help="Show results and errors, and no progress.",
        ),
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            expose_value=False,
            help="Show also what libraries log, and where an error comes from.",
        ),
    ]


def with_loudness(command: click.Command) -> click.Command:
    """`command` and all below it with these options, before `--help`."""
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        with_loudness(below)
    if not any(parameter.name == "quiet" for parameter in command.params):
        command.params += loudness()
    return command


def as_json(function: F) -> F:
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="One JSON object per line, and nothing else, on stdout.",
    )(function)


def release_file(function: F) -> F:
    """SPEC and the options of `plan` and `release`."""
    spec = click.argument("spec", type=FOLDER, default="release.yaml")
    return spec(release_options(function))


def release_files(function: F) -> F:
    specs = click.argument("specs", metavar="[SPEC]...", type=FOLDER, nargs=-1)
    return specs(release_options(function))


def release_options(function: F) -> F:
    for decorate in reversed(
        (
            click.option(
                "--set",
                "overrides",
                multiple=True,
                metavar="KEY=VALUE",
                help="Replace a value: train.options.rank=8.",
            ),
            click.option(
                "--from",
                "from_",
                metavar="STAGE",
                shell_complete=stages,
                help="Run this stage and the later ones again.",
            ),
            click.option(
                "--until", metavar="STAGE", shell_complete=stages, help="Stop after this stage."
            ),
            click.option(
                "--workdir",
                type=FOLDER,
                help="Where .hubkit/ goes. [default: the release file's folder]",
            ),
        )
    ):
        function = decorate(function)
    return function


def where(function: F) -> F:
    text = (
        "Where the plugin runs: `current`, `locked`, `locked:VARIANT`, or the path of an "
        "interpreter."
    )
    return click.option(
        "--environment", default="current", show_default=True, metavar="WHERE", help=text
    )(function)


def engine(function: F) -> F:
    tokens = click.option("--max-new-tokens", default=64, show_default=True, type=click.IntRange(1))
    return _engine("The plugin that generates.", "batch_size=8")(tokens(function))


def serving_engine(function: F) -> F:
    return _engine("The plugin that answers.", "dtype=float32")(function)


def _engine(help: str, example: str) -> Callable[[F], F]:
    named = click.option(
        "--engine",
        default="transformers",
        show_default=True,
        shell_complete=plugins("engine"),
        help=help,
    )
    options = click.option(
        "--option",
        "options",
        multiple=True,
        metavar="KEY=VALUE",
        help=f"An option of the engine: {example}.",
    )
    return lambda function: named(where(options(function)))


def mapping(items: tuple[str, ...]) -> dict[str, Any]:
    """KEY=VALUE items as a mapping; values are YAML, read as in a release file."""
    from ..api.release import option_value

    result = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise click.BadParameter(f"{item!r} is not of the form KEY=VALUE")
        try:
            result[key] = option_value(value)
        except ValueError as error:
            raise click.BadParameter(f"{item!r}: the value cannot be used ({error})") from None
    return result
