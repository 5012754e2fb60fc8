"""`hubkit doctor`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import FOLDER, as_json

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


@click.command("doctor")
@click.argument("spec", type=FOLDER, required=False)
@click.option(
    "--workdir", type=FOLDER, default=".", help="Where releases will run. [default: here]"
)
@as_json
def command(spec: Path | None, workdir: Path, as_json: bool) -> None:
    """Check what hubkit needs on this machine, and say how to get what is missing; with SPEC (a
    release.yaml) also all that this release needs."""
    from ..api.doctor import findings
    from ..errors import EnvironmentFailure
    from ..sdk.codec import encode
    from ._reporters import emit, reporter

    failed, warned = [], False
    for finding in findings(workdir):
        failed += [finding.what] if finding.state == "failed" else []
        warned |= finding.state == "warning"
        if as_json:
            emit("finding", encode(finding))
            continue
        mark, colour = _MARKS[finding.state]
        click.echo(f"{click.style(mark, fg=colour)} {finding.what}: {finding.found}")
        if finding.remedy:
            click.echo(f"    remedy: {finding.remedy}")
    if failed:
        raise EnvironmentFailure(f"not ready: {', '.join(failed)}", "follow the remedies above")
    if warned and not as_json:
        click.echo("What is marked with ! is needed only where you use it.")
    if spec is not None:
        from ..api.release import check

        with reporter(as_json) as report:
            report.note(f"checking what {spec} needs")
            check(spec, reporter=report)
