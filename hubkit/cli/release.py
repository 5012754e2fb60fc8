"""`hubkit release`"""

from __future__ import annotations

from pathlib import Path

import click

from ._options import as_json, release_file


@click.command("release")
@release_file
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check the data, say what the training takes, and train nothing.",
)
@as_json
def command(
    spec: Path,
    overrides: tuple[str, ...],
    from_: str | None,
    until: str | None,
    workdir: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run the release described in SPEC (release.yaml): what is unchanged is not run again.

    Killed at any moment, the same command continues.
    """
    from ..api.release import foresee, release
    from ._reporters import emit, reporter
    from ._show import foreseen, release_result

    if dry_run:
        if from_ or until:
            raise click.UsageError(
                "--dry-run looks at the training alone: leave out --from and --until."
            )
        with reporter(as_json) as report:
            training = foresee(spec, workdir=workdir, overrides=overrides, reporter=report)
        if as_json:
            from ..sdk.codec import encode

            emit("foreseen", encode(training))
        else:
            foreseen(training)
        return
    with reporter(as_json) as report:
        result = release(
            spec, workdir=workdir, overrides=overrides, from_=from_, until=until, reporter=report
        )
    if as_json:
        from ..sdk.codec import encode

        emit("result", encode(result))
    else:
        release_result(result)
