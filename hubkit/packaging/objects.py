"""Files in the Git LFS store of a release folder, without a second copy of their bytes."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ..files.disk import reflink
from ..sdk.errors import EnvironmentFailure


def object_path(git_dir: Path, oid: str) -> Path:
    return git_dir / "lfs" / "objects" / oid[:2] / oid[2:4] / oid


def place(source: Path, target: Path) -> bool:
    """Puts the content of `source` at `target` in one step: as a reflink, else a hard link, else a
    copy.

    A hard link is made read-only, unless `source` had other names before (the file may then be
    somebody's base model). Returns whether no bytes were written.

    Raises:
        EnvironmentFailure: a copy is needed and the disk has no room for it.
    """
    if target.exists() and target.samefile(source):
        return True
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        shared = _try(reflink, source, partial) or _try(_hardlink, source, partial)
        if not shared:
            _copy(source, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return shared


def _try(how: Callable[[Path, Path], None], source: Path, target: Path) -> bool:
    """False when the file system cannot; a full disk is not that."""
    try:
        how(source, target)
    except OSError as error:
        target.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space(source, target, 0) from error
        return False
    return True


def _hardlink(source: Path, target: Path) -> None:
    alone = source.stat().st_nlink == 1
    os.link(source, target)
    if alone:
        target.chmod(0o444)


def _copy(source: Path, target: Path) -> None:
    free = shutil.disk_usage(target.parent).free
    if source.stat().st_size > free:
        raise _no_space(source, target, free)
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space(source, target, shutil.disk_usage(target.parent).free) from error
        raise


def _no_space(source: Path, target: Path, free: int) -> EnvironmentFailure:
    needed = source.stat().st_size
    return EnvironmentFailure(
        f"not enough disk for {source.name} in the Git LFS store: {needed / 1e6:,.1f} MB needed, "
        f"{free / 1e6:,.1f} MB free",
        f"free some space where {target.parent} is, or put the release folder on a file system "
        "with hard links",
    )
