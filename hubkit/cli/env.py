"""`hubkit env`"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._options import FOLDER, as_json
from .completion import plugins

if TYPE_CHECKING:
    from ..api.environments import Row


def _sources(function: Callable[..., Any]) -> Callable[..., Any]:
    links = click.option(
        "--find-links",
        multiple=True,
        metavar="FOLDER",
        help="A folder or page of wheels; may be repeated.",
    )
    return links(
        click.option("--no-index", is_flag=True, help="Use no package index, only --find-links.")(
            function
        )
    )


def _cells(row: Row) -> tuple[str, ...]:
    state = row.state + (" *" if row.chosen else "") + (f": {row.why}" if row.why else "")
    size = f"{row.size / 1e6:,.0f} MB" if row.size else ""
    who = f"{row.kind} {row.plugin}".strip()
    return who, row.variant, row.python, row.platform, str(row.packages), state, size, row.name


@click.group("env")
def command() -> None:
    """Locked environments of trainers and engines: built once from the plugin's lock, kept under
    HUBKIT_HOME (by default ~/.cache/hubkit), used by `environment: locked`."""


@command.command("list")
@as_json
def list_command(as_json: bool) -> None:
    """List every lock and what has been built from it."""
    from ..api import environments
    from ..sdk.codec import encode
    from ._reporters import emit
    from ._show import table

    rows = environments.rows()
    if as_json:
        for row in rows:
            emit("environment", encode(row))
        return
    columns = ("plugin", "variant", "Python", "platform", "packages", "state", "size", "name")
    table("", columns, [_cells(row) for row in rows])
    click.echo("* what `environment: locked` uses on this machine")


@command.command("build")
@click.argument("plugin", shell_complete=plugins("trainer", "engine"))
@click.option(
    "--variant", default="", help="Such as cpu or cu12. [default: the one that fits this machine]"
)
@_sources
@as_json
def build_command(
    plugin: str, variant: str, find_links: tuple[str, ...], no_index: bool, as_json: bool
) -> None:
    """Build PLUGIN's locked environment, unless it is there, and check that it works.

    A variant for GPUs can be named on a machine without one, such as where images are built: its
    check is then left to the first use.
    """
    from ..api import environments
    from ..sdk.codec import encode
    from ._reporters import emit, reporter

    with reporter(as_json) as report:
        built = environments.build(
            plugin, variant, find_links=find_links, no_index=no_index, run=report
        )
    if as_json:
        emit("result", {**encode(built), "new": built.new, "python": str(built.python)})
        return
    state = (
        "there already"
        if not built.new
        else "built, to be checked on a GPU"
        if built.unchecked
        else "built and checked"
    )
    click.echo(
        f"{state}: {built.state.variant}, Python {built.state.python}, {built.state.packages} "
        "packages"
    )
    click.echo(f"interpreter: {built.python}")


@command.command("check")
@click.argument("plugin", shell_complete=plugins("trainer", "engine"))
@click.option(
    "--environment",
    default="locked",
    show_default=True,
    metavar="WHERE",
    help="`locked`, `locked:VARIANT`, `current`, or the path of an interpreter.",
)
@as_json
def check_command(plugin: str, environment: str, as_json: bool) -> None:
    """Check that PLUGIN works in an environment: imports, versions, a tiny operation, packages that
    contradict one another."""
    from ..api import environments
    from ..sdk.codec import encode
    from ._reporters import emit

    checked = environments.check(plugin, environments.Environment.parse(environment))
    if as_json:
        emit("result", encode(checked))
        return
    click.echo(
        f"{checked.kind} {checked.plugin} works in {checked.interpreter} (Python "
        f"{checked.health.python})"
    )
    for module, version in checked.health.versions.items():
        click.echo(f"  {module} {version}")
    for line in checked.health.conflicts:
        click.echo(f"  conflict: {line}")


@command.command("remove")
@click.argument("names", nargs=-1)
@click.option("--stale", is_flag=True, help="Those that no installed plugin has a lock for.")
@click.option("--all", "everything", is_flag=True, help="Every environment that hubkit has built.")
@as_json
def remove_command(names: tuple[str, ...], stale: bool, everything: bool, as_json: bool) -> None:
    """Delete built environments. NAMES are plugins, or names of environments."""
    from ..api import environments
    from ..sdk.codec import encode
    from ._reporters import emit, reporter

    if not (names or stale or everything):
        raise click.UsageError("Name a plugin or an environment, or give --stale or --all.")
    with reporter(as_json) as report:
        removed = environments.remove(names, stale=stale, everything=everything, run=report)
    for row in removed:
        if as_json:
            emit("removed", encode(row))
        else:
            click.echo(f"removed {row.name} ({row.size / 1e6:,.0f} MB)")
    if not removed and not as_json:
        click.echo("nothing to remove")


@command.command("lock")
@click.argument("plugin", shell_complete=plugins("trainer", "engine"))
@click.option(
    "--variant",
    "variants",
    multiple=True,
    help="Such as cpu; may be repeated. [default: all]",
)
@click.option(
    "--python",
    "version",
    default="",
    metavar="X.Y",
    help="The Python to lock for. [default: hubkit's own]",
)
@click.option(
    "--out",
    type=FOLDER,
    help="Where to write the locks. [default: beside their sources, in the plugin]",
)
@_sources
@as_json
def lock_command(
    plugin: str,
    variants: tuple[str, ...],
    version: str,
    out: Path | None,
    find_links: tuple[str, ...],
    no_index: bool,
    as_json: bool,
) -> None:
    """Resolve PLUGIN's `<variant>.in.json` into locks for this platform. For authors of plugins."""
    from ..api import environments
    from ._reporters import emit, reporter

    with reporter(as_json) as report:
        written = environments.lock(
            plugin,
            variants=variants,
            python=version,
            out=out,
            find_links=find_links,
            no_index=no_index,
            run=report,
        )
    for path in written:
        if as_json:
            emit("result", {"lock": str(path)})
        else:
            click.echo(f"wrote {path}")
