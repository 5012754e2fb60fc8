"""`hubkit plan`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    """Show which stages `hubkit release SPEC` would run, and why, and all that it would refuse.
    Nothing is run."""
    from ..api.release import check, load_spec, plan
    from ._reporters import emit, reporter

    loaded = load_spec(spec, overrides)
    chosen: dict[str, Any] = {"workdir": workdir or spec.parent, "from_": from_, "until": until}
    with reporter(as_json) as report:
        report.note("checking what the release needs")
        check(loaded, **chosen, reporter=report)
    plans = plan(loaded, **chosen)
    if as_json:
        from ..sdk.codec import encode

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
