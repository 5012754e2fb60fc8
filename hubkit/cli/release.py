"""`hubkit release`"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ._options import as_json, release_files


@click.command("release")
@release_files
@click.option(
    "--where",
    metavar="SCHEDULER",
    help="Where stages that need hardware run: `local`, `slurm`. [default: as SPEC says]",
)
@click.option(
    "--parallel",
    type=click.IntRange(1),
    help="Releases at once. [default: 16; 1 if they are trained on this machine]",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check the data, say what the training takes, and train nothing.",
)
@click.option(
    "--join",
    is_flag=True,
    help="On a further node of several: train with the first, by torchrun's PET_ variables.",
)
@as_json
def command(
    specs: tuple[Path, ...],
    workdir: Path | None,
    parallel: int | None,
    dry_run: bool,
    join: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Run the release described in SPEC (release.yaml): what is unchanged is not run again.

    Killed at any moment, the same command continues. Of several files, each is a release of its
    own; a report of all comes last.
    """
    if len(specs) > 1:
        if dry_run or workdir or join:
            raise click.UsageError("--dry-run, --join and --workdir are for one release file.")
        return _many(specs, parallel or 0, as_json, options)
    spec = specs[0] if specs else Path("release.yaml")
    placed = options["from_"] or options["until"] or options["where"] not in (None, "local")
    if (dry_run and join) or ((dry_run or join) and placed):
        raise click.UsageError(
            "--dry-run and --join look at the training here alone: give one of them, without "
            "--from, --until and --where."
        )
    if join:
        _join(spec, workdir, as_json, options["overrides"])
    elif dry_run:
        _dry_run(spec, workdir, as_json, options)
    else:
        _one(spec, workdir, as_json, options)
    return 0


def _one(spec: Path, workdir: Path | None, as_json: bool, options: dict[str, Any]) -> None:
    from ..api.release import release
    from ._reporters import emit, reporter
    from ._show import release_result

    with reporter(as_json) as report:
        result = release(spec, workdir=workdir, reporter=report, **options)
    if as_json:
        from ..sdk.codec import encode

        emit("result", encode(result))
    else:
        release_result(result)


def _join(spec: Path, workdir: Path | None, as_json: bool, overrides: tuple[str, ...]) -> None:
    from ..api.release import join
    from ._reporters import reporter

    with reporter(as_json) as report:
        join(spec, workdir=workdir, overrides=overrides, reporter=report)


def _many(specs: tuple[Path, ...], parallel: int, as_json: bool, options: dict[str, Any]) -> int:
    """The highest exit code of all."""
    from ..api.release import release_each
    from ._reporters import emit, reporter
    from ._show import outcomes

    with reporter(as_json) as report:
        ended = release_each(specs, parallel=parallel, reporter=report, **options)
    if as_json:
        from ..sdk.codec import encode

        emit("report", {"releases": encode(ended)})
    else:
        outcomes(ended)
    return max(outcome.exit_code for outcome in ended)


def _dry_run(spec: Path, workdir: Path | None, as_json: bool, options: dict[str, Any]) -> None:
    from ..api.release import foresee
    from ._reporters import emit, reporter
    from ._show import foreseen

    with reporter(as_json) as report:
        training = foresee(spec, workdir=workdir, overrides=options["overrides"], reporter=report)
    if as_json:
        from ..sdk.codec import encode

        emit("foreseen", encode(training))
    else:
        foreseen(training)
