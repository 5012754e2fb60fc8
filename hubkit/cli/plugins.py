"""`hubkit plugins`"""

from __future__ import annotations

import click

from ._options import as_json


@click.command("plugins")
@as_json
def command(as_json: bool) -> None:
    """List the installed plugins by kind, and why a broken one did not load."""
    from ..registry import plugins
    from ..sdk.codec import encode

    rows = plugins().rows()
    if as_json:
        from ._reporters import emit

        for row in rows:
            emit("plugin", encode(row))
        return
    from ._show import table

    table(
        "",
        ("kind", "name", "version", "distribution", "sdk", "state"),
        [(r.kind, r.name, r.version, r.distribution, r.sdk, r.state) for r in rows],
    )
