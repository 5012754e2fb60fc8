"""What the demo of a release shows: its model beside its base, asked what was held out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..pipeline.spec.file import load
from ..pipeline.stage import Context
from ..pipeline.stages import merge, prepare
from ..pipeline.workspace import Workspace
from ..reporting import SilentReporter


@dataclass(frozen=True)
class Released:
    """`examples` is a records file, `images` the folder of its pictures."""

    model: Path
    base: Path
    examples: Path
    images: Path


def released(path: Path) -> Released:
    """What the release of the file `path` has made beside it.

    Raises:
        SpecError: it is no sound release file.
        UsageError: the release has not got as far as its model.
    """
    spec = load(path)
    context = Context(spec, Workspace(path.resolve().parent, spec.name), SilentReporter())
    model = context.folder(merge.STAGE) / spec.name
    examples = context.folder(prepare.STAGE) / prepare.HOLDOUT
    if not model.is_dir() or not examples.is_file():
        raise UsageError(
            f"{path}: the release has no model yet", f"make it: hubkit release {path} --until merge"
        )
    return Released(model, spec.base.path, examples, context.images)
