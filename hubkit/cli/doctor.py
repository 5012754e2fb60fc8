"""`hubkit doctor`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER, as_json

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


@click.command("doctor")
@click.option(
    "--workdir", type=FOLDER, default=".", help="Where releases will run. [default: here]"
)
@as_json
def command(workdir: Path, as_json: bool) -> None:
    """Check what hubkit needs on this machine, and say how to get what is missing."""
    from ..api.doctor import doctor
    from ..errors import EnvironmentFailure
    from ..sdk.codec import encode
    from ._reporters import emit

    findings = doctor(workdir)
    for finding in findings:
        if as_json:
            emit("finding", encode(finding))
            continue
        mark, colour = _MARKS[finding.state]
        click.echo(f"{click.style(mark, fg=colour)} {finding.what}: {finding.found}")
        if finding.remedy:
            click.echo(f"    remedy: {finding.remedy}")
    failed = [f.what for f in findings if f.state == "failed"]
    if failed:
        raise EnvironmentFailure(f"not ready: {', '.join(failed)}", "follow the remedies above")
