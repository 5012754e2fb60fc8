"""`hubkit schema`"""

from __future__ import annotations

import json
from pathlib import Path

import click

EVENTS = Path(__file__).with_name("events.schema.json")
"""The JSON schema of what `--json` writes."""


@click.command("schema")
@click.option("--events", is_flag=True, help="The schema of what --json writes, instead.")
def command(events: bool) -> None:
    """Print the JSON schema of release.yaml.

    For VS Code: hubkit schema > release.schema.json, and `# yaml-language-server:
    $schema=release.schema.json` as first line.
    """
    if events:
        click.echo(EVENTS.read_text("utf-8"), nl=False)
        return
    from ..api.release import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
