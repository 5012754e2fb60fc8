"""The quickstart: the whole of a release on real input, small enough for two CPU cores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import RefusedError
from ..quickstart import write_project
from ..reporting import Reporter
from .rehearse import Rehearsed, rehearse
from .release import ReleaseResult, release

_MOST_BEFORE = 0.6


@dataclass(frozen=True)
class Quickstart:
    """What was made and where: `repository` is the bare git repository, `image` one of the
    handwritten digits; `rehearsed` is what the rehearsal hub took over each protocol and gave back
    with equal digests."""

    result: ReleaseResult
    rehearsed: tuple[Rehearsed, ...]
    spec: Path
    repository: Path
    card: Path
    image: Path


def quickstart(workdir: Path, reporter: Reporter) -> Quickstart:
    """Writes base, data and release.yaml into `workdir` where they are missing, and runs the
    release.

    Raises:
        RefusedError: the base knew handwriting already, or the model did not learn it: that would
        prove nothing.
    """
    project = write_project(workdir.resolve(), reporter)
    result = release(project.spec, reporter=reporter)
    if result.evaluation is None or result.folder is None:
        raise RefusedError(
            "the quickstart's release is not complete", f"remove {workdir} and run it again"
        )
    before = result.evaluation.base_score
    if before is None or before >= _MOST_BEFORE:
        raise RefusedError(
            f"the base read {before or 0:.1%} of the held-out digits before it was taught; below "
            f"{_MOST_BEFORE:.0%} is expected",
            f"{project.base} was changed: remove it, and run the quickstart again",
        )
    reporter.note(
        "rehearsing on a local hub: the Hugging Face, ModelScope and git protocols, with their "
        "real clients"
    )
    with rehearse(
        result.folder, data=project.spec.parent / "rehearsal", reporter=reporter
    ) as rehearsed:
        pass
    image = sorted((project.data / "images").glob("*.png"))[0]
    return Quickstart(
        result,
        rehearsed,
        project.spec,
        Path(result.receipts[0].target),
        result.folder / "README.md",
        image,
    )
