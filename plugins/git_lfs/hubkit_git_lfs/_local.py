"""A bare repository on a disk: made when it is not there, and its LFS objects kept apart from the
release folder's."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from hubkit.sdk import EnvironmentFailure, Problem, RefusedError, Run, UsageError
from hubkit.sdk.gitcli import clean_environment, run_git

_CHUNK = 4 * 1024 * 1024


def object_path(repository: Path, oid: str) -> Path:
    return repository / "lfs" / "objects" / oid[:2] / oid[2:4] / oid


def problems(repository: Path) -> tuple[Problem, ...]:
    """Why nothing can be pushed to this path; empty when it can, also when the repository is yet to
    be made."""
    if not repository.exists():
        above = next(parent for parent in repository.parents if parent.exists())
        if not above.is_dir():
            return (
                Problem(
                    str(repository),
                    f"{above} is a file, not a folder",
                    "choose a path below a folder",
                ),
            )
        if not os.access(above, os.W_OK | os.X_OK):
            return (
                Problem(
                    str(repository),
                    f"{above} is not writable",
                    "make it writable, or choose another path",
                ),
            )
        return ()
    if not repository.is_dir():
        return (Problem(str(repository), "a file, not a bare repository", "choose another path"),)
    if is_empty(repository):
        return ()
    if not (repository / "HEAD").is_file() or not (repository / "objects").is_dir():
        remedy = (
            "choose another path, or remove what is there; a repository with a work tree cannot be "
            "pushed to"
        )
        return (Problem(str(repository), "neither empty nor a bare git repository", remedy),)
    closed = [
        part
        for part in (repository, repository / "objects", repository / "refs")
        if not os.access(part, os.W_OK | os.X_OK)
    ]
    return tuple(
        Problem(str(part), "not writable", "make it writable for you, or choose another target")
        for part in closed
    )


def refuse_unfit(repository: Path) -> None:
    """
    Raises:
        EnvironmentFailure: it cannot be written.
        UsageError: something else is at that path.
    """
    for problem in problems(repository):
        kind = EnvironmentFailure if "writable" in problem.message else UsageError
        raise kind(f"{problem.where}: {problem.message}", problem.remedy)


def prepare(repository: Path, branch: str) -> None:
    """Makes the bare repository if there is none, complete or not at all.

    Raises:
        EnvironmentFailure: it cannot be written.
        UsageError: something else is at that path.
    """
    refuse_unfit(repository)
    if repository.exists() and not is_empty(repository):
        return
    partial = repository.with_name(f".{repository.name}.hubkit-partial")
    try:
        repository.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        create = [
            "init",
            "--quiet",
            "--bare",
            "--template=",
            "--object-format=sha1",
            f"--initial-branch={branch}",
            str(partial),
        ]
        run_git(create, cwd=repository.parent, environment=clean_environment(isolated=True))
        partial.replace(repository)
    except OSError as error:
        remedy = "make the folder above it writable, or choose another path"
        raise EnvironmentFailure(
            f"{repository}: a bare repository cannot be made there: {error.strerror}", remedy
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def missing(repository: Path, objects: Iterable[tuple[str, int]]) -> list[str]:
    """The ids among (id, size) that the LFS store lacks or has with another size."""
    lacking = []
    for oid, size in objects:
        path = object_path(repository, oid)
        if not path.is_file() or path.stat().st_size != size:
            lacking.append(oid)
    return lacking


def drop_damaged(repository: Path, objects: Iterable[tuple[str, int]]) -> None:
    """Removes objects of a wrong size: Git LFS takes an object that is there for a good one."""
    for oid in missing(repository, objects):
        object_path(repository, oid).unlink(missing_ok=True)


def separate(repository: Path, folder: Path, run: Run) -> None:
    """Gives each LFS object that came from `folder` bytes of its own, verified.

    Git LFS pushes to a local path by hard link (3.3.0): an edit of the release's file would change
    what was published.

    Raises:
        RefusedError: the pushed bytes are not those of the commit; the object is taken out of the
            repository again.
    """
    ours = [
        path for path in (folder / ".git" / "lfs" / "objects").glob("*/*/*") if len(path.name) == 64
    ]
    shared = [path.name for path in ours if _is_linked(object_path(repository, path.name))]
    total = sum(object_path(repository, oid).stat().st_size for oid in shared)
    done = 0
    for oid in sorted(shared):
        path = object_path(repository, oid)
        done += path.stat().st_size
        _own_copy(path, oid)
        run.progress(done, total, "bytes")
        run.check_cancelled()


def _is_linked(path: Path) -> bool:
    return path.is_file() and path.stat().st_nlink > 1


def _own_copy(path: Path, oid: str) -> None:
    partial = path.with_name(f"{oid}.partial")
    try:
        _duplicate(path, partial)
        if _sha256(partial) != oid:
            path.unlink()
            raise RefusedError(
                f"LFS object {oid} does not hold the bytes of its name: the release's file was "
                "edited in place after staging",
                "package the release again, then push",
            )
        partial.chmod(0o444)
        partial.replace(path)
    except OSError as error:
        remedy = "free some space or make the repository writable, then run again"
        raise EnvironmentFailure(f"{path}: {error.strerror}", remedy) from None
    finally:
        partial.unlink(missing_ok=True)


def _duplicate(source: Path, target: Path) -> None:
    """A copy; on file systems with reflinks the kernel shares the blocks."""
    if not hasattr(os, "copy_file_range"):
        shutil.copyfile(source, target)
        return
    with source.open("rb") as reader, target.open("wb") as writer:
        left = os.fstat(reader.fileno()).st_size
        try:
            while left and (count := os.copy_file_range(reader.fileno(), writer.fileno(), left)):
                left -= count
        except OSError:
            reader.seek(0)
            writer.seek(0)
            writer.truncate()
            shutil.copyfileobj(reader, writer, _CHUNK)


def _sha256(path: Path) -> str:
    digest, block = hashlib.sha256(), memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as stream:
        while count := stream.readinto(block):
            digest.update(block[:count])
    return digest.hexdigest()
