"""`hubkit plugins`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import as_json
from .completion import plugins

KINDS = ("family", "dataset", "trainer", "engine", "exporter", "metric", "hub")
_STYLES = {"ok": "", "skipped": "dim", "failed": "red"}


@click.group("plugins", invoke_without_command=True)
@as_json
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Plugins: list them, write a new one, check one, read its reference. Without a command:
    list."""
    if context.invoked_subcommand is None:
        context.invoke(list_command, as_json=as_json)


@command.command("list")
@as_json
def list_command(as_json: bool) -> None:
    """List the installed plugins by kind, and why a broken one did not load."""
    from ..api.plugins import installed
    from ..sdk.codec import encode

    rows = installed()
    if as_json:
        from ._reporters import emit

        for row in rows:
            emit("plugin", encode(row))
        return
    from ._show import table

    columns = ("kind", "name", "version", "distribution", "sdk", "runs in", "from", "state")
    table(
        "",
        columns,
        [
            (
                r.kind,
                r.name,
                r.version,
                r.distribution,
                r.sdk,
                r.environment or "hubkit",
                r.location,
                r.state,
            )
            for r in rows
        ],
    )


@command.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What the plugin is.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="The folder to write NAME in.",
)
def new_command(name: str, kind: str, into: Path) -> None:
    """Write a small, complete distribution for the plugin NAME, which passes its check as it
    stands."""
    from ..api.plugins import new_plugin

    folder = new_plugin(kind, name, into)
    click.echo(f"{folder} is written. Next:\n  pip install {folder}\n  hubkit plugins check {name}")


@command.command("check")
@click.argument("plugin", shell_complete=plugins())
@click.option(
    "--kind", type=click.Choice(KINDS), help="When several kinds have a plugin of that name."
)
@click.option(
    "--environment",
    metavar="WHERE",
    help="Where a trainer or an engine is driven: `current`, `locked`, `locked:VARIANT`, or the "
    "path of an interpreter.",
)
@click.option(
    "--deadline",
    type=click.FloatRange(1),
    default=60,
    show_default=True,
    help="Minutes until it counts as hanging.",
)
@as_json
def check_command(
    plugin: str, kind: str | None, environment: str | None, deadline: float, as_json: bool
) -> None:
    """Take PLUGIN (an installed one by name, or a folder with its pyproject.toml) through its whole
    life in a process of its own, and say what breaks the contract. Exits 4 when something does."""
    from ..api.plugins import check_plugin
    from ..errors import PluginError
    from ..sdk.codec import encode

    where = None if environment is None else environment
    report = check_plugin(plugin, kind=kind or "", environment=where, seconds=60 * deadline)
    if as_json:
        from ._reporters import emit

        for step in report.steps:
            emit("step", encode(step))
        emit("result", {"plugin": report.plugin, "ok": report.ok})
    else:
        from ._show import table

        rows = [(step.name, step.state, step.message) for step in report.steps]
        table(
            report.plugin,
            ("step", "state", "what was seen"),
            rows,
            [_STYLES[step.state] for step in report.steps],
        )
    if not report.ok:
        failed = ", ".join(step.name for step in report.steps if step.state == "failed")
        raise PluginError(
            f"{report.plugin} does not do what its contract says: {failed}",
            "fix what is listed above",
        )


@command.command("docs")
@click.argument("plugin", required=False, shell_complete=plugins())
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write Markdown to this file."
)
def docs_command(plugin: str | None, out: Path | None) -> None:
    """The reference of the SDK or, with PLUGIN, of one plugin and its options, as Markdown from the
    docstrings."""
    from ..api.plugins import plugin_page, sdk_page

    text = plugin_page(plugin) if plugin else sdk_page()
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8", newline="\n")
