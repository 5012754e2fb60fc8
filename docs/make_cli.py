"""Writes docs/cli.md from the commands themselves; a test checks that it is up to date."""

from __future__ import annotations

from pathlib import Path

import click

from hubkit.cli import _SECTIONS, cli

PLACE = Path(__file__).with_name("cli.md")


def reference() -> str:
    """The page: each verb's usage, description and options, in the order of `hubkit --help`."""
    parts = ["# Command line", "", "Written by `make docs`; do not edit. Exit codes: see [the design](design.md#errors).", ""]
    top = click.Context(cli, info_name="hubkit", max_content_width=100, terminal_width=100)
    for title, verbs in _SECTIONS.items():
        parts += [f"## {title}", ""]
        for verb in verbs:
            command = cli.get_command(top, verb)
            assert command is not None
            context = click.Context(command, info_name=verb, parent=top, max_content_width=100, terminal_width=100)
            parts += [f"### hubkit {verb}", "", "```text", command.get_help(context), "```", ""]
    return "\n".join(parts)


if __name__ == "__main__":
    PLACE.write_text(reference(), "utf-8")
