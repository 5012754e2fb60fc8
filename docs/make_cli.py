"""Writes docs/cli.md from the commands themselves; a test checks that it is up to date."""

from __future__ import annotations

from pathlib import Path

import click

from hubkit.cli import _SECTIONS, cli

PLACE = Path(__file__).with_name("cli.md")


def reference() -> str:
    """The page: each verb's usage, description and options, in the order of `hubkit --help`."""
    parts = [
        "# Command line",
        "",
        "Written by `make docs`; do not edit. Exit codes: see [the design](design.md#errors).",
        "`make man` writes these pages for `man`.",
        "",
        "The Tab key completes commands, options, stages, plugins, engines, families and files",
        "after this line in `~/.bashrc`. For zsh and fish, write `zsh_source` and `fish_source`.",
        "",
        "```bash",
        'eval "$(_HUBKIT_COMPLETE=bash_source hubkit)"',
        "```",
        "",
    ]
    top = click.Context(cli, info_name="hubkit", max_content_width=100, terminal_width=100)
    for title, verbs in _SECTIONS.items():
        parts += [f"## {title}", ""]
        for verb in verbs:
            command = cli.get_command(top, verb)
            assert command is not None
            parts += _section(command, verb, top)
    return "\n".join(parts)


def _section(command: click.Command, name: str, parent: click.Context) -> list[str]:
    """A command's part of the page, and those of the commands below it."""
    context = click.Context(
        command, info_name=name, parent=parent, max_content_width=100, terminal_width=100
    )
    parts = [f"### {context.command_path}", "", "```text", command.get_help(context), "```", ""]
    for below, inner in command.commands.items() if isinstance(command, click.Group) else ():
        parts += _section(inner, below, context)
    return parts


if __name__ == "__main__":
    PLACE.write_text(reference(), "utf-8")
