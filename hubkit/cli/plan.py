"""`hubkit plan`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import as_json, release_file

_STYLES = {"cached": "dim", "run": "yellow", "depends": "cyan"}


@click.command("plan")
@release_file
@as_json
def command(
    spec: Path,
    overrides: tuple[str, ...],
    from_: str | None,
    until: str | None,
    workdir: Path | None,
    as_json: bool,
) -> None:
    """Show which stages `hubkit release SPEC` would run, and why. Nothing is run."""
    from ..api.release import plan

    plans = plan(spec, workdir=workdir, overrides=overrides, from_=from_, until=until)
    if as_json:
        from ..sdk.codec import encode
        from ._reporters import emit

        for item in plans:
            emit("plan", encode(item))
        return
    from ._show import table

    rows = [(p.stage, p.state, "; ".join(p.reasons) or "unchanged", p.purpose) for p in plans]
    table(
        "",
        ("stage", "state", "why", "what it does"),
        rows,
        styles=[_STYLES[p.state] for p in plans],
    )
