"""The paths that a release file names."""

from __future__ import annotations

from pathlib import Path

from ...errors import UsageError
from .model import Spec


def check_paths(spec: Spec) -> None:
    """Raises UsageError with every path of the release file that does not exist."""
    if missing := missing_paths(spec):
        raise UsageError(
            "the release file names paths that do not exist:\n  " + "\n  ".join(missing),
            "correct them; paths are relative to the release file",
        )


def missing_paths(spec: Spec) -> list[str]:
    """Each as `key: path`."""
    return [f"{key}: {path}" for key, path in paths_of(spec).items() if not path.exists()]


def paths_of(spec: Spec) -> dict[str, Path]:
    """The files and folders that a release reads, by their keys in the release file."""
    paths = {
        "base.path": spec.base.path,
        "data.path": spec.data.path,
        "data.images": spec.data.images,
        "data.holdout_file": spec.data.holdout_file,
        "train.adapter": spec.train.adapter,
    }
    paths |= {f"merge.adapters.{n}.path": one.path for n, one in enumerate(spec.merge.adapters)}
    return {key: path for key, path in paths.items() if path}
