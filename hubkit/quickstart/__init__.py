"""The quickstart: the whole of a release on real input, small enough for two CPU cores.

base/          a tiny model in the official InternVL2 layout that has learnt printed digits
               (make_base.py made it)
make_base.py   makes that base again, from its seed
digits.py      scikit-learn's handwritten digits as pictures and conversations
release.yaml   the release file
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import RefusedError
from ..pipeline import ReleaseResult
from ..remote import Rehearsed, rehearse
from ..reporting import Reporter

_HERE = Path(__file__).resolve().parent
_BASE = "InternVL2-Tiny"
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


def run(workdir: Path, reporter: Reporter) -> Quickstart:
    """Writes base, data and release.yaml into `workdir` where they are missing, and runs the
    release.

    Raises:
        RefusedError: the base knew handwriting already, or the model did not learn it: nothing
            would have been shown.
    """
    from .. import api
    from .digits import write_digits

    workdir = workdir.resolve()
    workdir.mkdir(parents=True, exist_ok=True)
    spec, base, data = workdir / "release.yaml", workdir / _BASE, workdir / "data"
    if not base.exists():
        _place(
            lambda folder: shutil.copytree(
                _HERE / "base", folder, ignore=shutil.ignore_patterns("__pycache__")
            ),
            base,
        )
    if not data.exists():
        reporter.note("writing 1,797 handwritten digits as pictures")
        _place(write_digits, data)
    if not spec.exists():
        shutil.copyfile(_HERE / "release.yaml", spec)
    result = api.release(spec, reporter=reporter)
    if result.evaluation is None or result.folder is None:
        raise RefusedError(
            "the quickstart's release is not complete", f"remove {workdir} and run it again"
        )
    before = result.evaluation.base_score
    if before is None or before >= _MOST_BEFORE:
        raise RefusedError(
            f"the base read {before or 0:.1%} of the held-out digits before it was taught; below "
            f"{_MOST_BEFORE:.0%} is expected",
            f"{base} was changed: remove it, and run the quickstart again",
        )
    reporter.note(
        "rehearsing on a local hub: the Hugging Face, ModelScope and git protocols, with their "
        "real clients"
    )
    with rehearse(result.folder, data=workdir / "rehearsal", reporter=reporter) as rehearsed:
        pass
    image = sorted((data / "images").glob("*.png"))[0]
    return Quickstart(
        result, rehearsed, spec, Path(result.receipts[0].target), result.folder / "README.md", image
    )


def _place(write: Callable[[Path], object], folder: Path) -> None:
    """A folder that is there is complete."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    write(partial)
    partial.replace(folder)
