"""What the quickstart works on: a tiny base, real handwriting, and the release file for them.

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

from ..sdk import Run

_HERE = Path(__file__).resolve().parent
BASE = _HERE / "base"


@dataclass(frozen=True)
class Project:
    """A folder to release from: the release file, the base's folder and the data's."""

    spec: Path
    base: Path
    data: Path


def write_project(workdir: Path, run: Run) -> Project:
    """Writes base, data and release.yaml into `workdir` where they are missing."""
    from .digits import write_digits

    workdir.mkdir(parents=True, exist_ok=True)
    project = Project(workdir / "release.yaml", workdir / "InternVL2-Tiny", workdir / "data")
    if not project.base.exists():
        _place(_copy_base, project.base)
    if not project.data.exists():
        run.note("writing 1,797 handwritten digits as pictures")
        _place(write_digits, project.data)
    if not project.spec.exists():
        shutil.copyfile(_HERE / "release.yaml", project.spec)
    return project


def _copy_base(folder: Path) -> None:
    shutil.copytree(BASE, folder, ignore=shutil.ignore_patterns("__pycache__"))


def _place(write: Callable[[Path], object], folder: Path) -> None:
    """Existing folders are complete."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    write(partial)
    partial.replace(folder)
