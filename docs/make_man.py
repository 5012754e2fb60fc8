"""Writes a manual page for each command into a folder: `man -M FOLDER hubkit-release`."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from click_man.core import write_man_pages

import hubkit
from hubkit.cli import cli


def write(folder: Path, date: str) -> None:
    """Pages of section 1 below `folder`, dated so (`2026-01-31`)."""
    pages = folder / "man1"
    pages.mkdir(parents=True, exist_ok=True)
    top = click.Context(cli, info_name="hubkit")
    for verb in cli.list_commands(top):
        command = cli.get_command(top, verb)
        assert command is not None
        cli.add_command(command, verb)  # click-man asks for all of them at once
    _summarise(cli)
    write_man_pages("hubkit", cli, version=hubkit.__version__, target_dir=pages, date=date)


def _summarise(command: click.Command) -> None:
    """The first sentence, where click-man would cut the text in the middle of a word."""
    text = " ".join((command.help or "").split())
    command.short_help = command.short_help or text.partition(". ")[0].rstrip(".")
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        _summarise(below)


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2])
