"""`hubkit schema`"""

from __future__ import annotations

import json

import click


@click.command("schema")
def command() -> None:
    """Print the JSON schema of release.yaml.

    For VS Code: hubkit schema > release.schema.json, and `# yaml-language-server:
    $schema=release.schema.json` as first line.
    """
    from ..api.release import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
