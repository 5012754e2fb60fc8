"""The release folder as a git repository whose one commit holds the release, large files in Git
LFS, no byte read twice.

Nothing here runs `git add`: the digest of each large file is known, so its LFS object is the file
itself under a second name (a reflink where the file system has them, else a hard link), its pointer
130 bytes, and the index gets the files' real stat data, so that `git status` has nothing to hash.

A hard link has this price: whoever edits the file in place edits the object too. Hence the linked
file is made read-only, its size, modification time and inode are kept in `.git/hubkit-staged.json`,
and `check_unchanged` refuses the push when they differ and the digest does too. Replacing the file
(a new file renamed over it) leaves the object as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..digests import sha256
from ..sdk import json_text
from ..sdk.codec import decode, encode
from ..sdk.errors import HubkitError, RefusedError, UsageError
from ..sdk.gitcli import require_git_lfs
from ..sdk.hub import ReleaseFile
from . import manifest as manifests
from .index import install_index, write_tree
from .manifest import MANIFEST, Manifest
from .objects import object_path, place
from .repository import Repository, identity

__all__ = ["StagedCommit", "check_unchanged", "damage", "read_staged", "require_git_lfs", "stage"]

_RECORD = "hubkit-staged.json"
_RACY_NS = 2_000_000_000
"""A change this soon after staging can leave the modification time as it was (file systems with
coarse clocks)."""


@dataclass(frozen=True)
class StagedCommit:
    """`commit` is what `tag` names. `bytes_linked` of the `lfs_objects` large files take no further
    disk."""

    commit: str
    tag: str
    lfs_objects: int
    bytes_linked: int


@dataclass(frozen=True)
class _Stamp:
    path: str
    sha256: str
    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True)
class _Record:
    staged: StagedCommit
    objects: tuple[_Stamp, ...]


def stage(
    folder: Path,
    manifest: Manifest,
    *,
    message: str,
    author_name: str,
    author_email: str,
    date: str,
    tag: str,
    branch: str = "main",
    parent: str | None = None,
) -> StagedCommit:
    """Makes `folder` a git repository whose `branch` and annotated `tag` hold the manifest's files
    and manifest.json.

    The same arguments give the same commit id anywhere: neither the clock nor the user's git
    configuration has a say. In a folder that is a repository already, the commit goes on top of
    `parent` (the branch's head by default); when that head holds the very same files, it is kept
    and nothing is added.

    Raises:
        EnvironmentFailure: no git or git-lfs, or no room on the disk.
        RefusedError: the folder is not what the manifest says, or `tag` names another commit
            already.
        UsageError: a bad date, tag, branch or author.
    """
    require_git_lfs()
    files = manifest.released()
    _check_folder(folder, manifest)
    repository = Repository(folder, identity(author_name, author_email, date))
    repository.open(branch, tag)
    repository.check_attributes(files)
    linked = [
        file.size
        for file in files
        if file.lfs and place(folder / file.path, object_path(repository.dir, file.sha256))
    ]
    tree = write_tree(folder, files)
    commit = repository.commit(tree, message, parent or repository.resolve(f"refs/heads/{branch}"))
    repository.set_refs(branch, tag, commit, message)
    install_index(folder, files)
    staged = StagedCommit(commit, tag, sum(file.lfs for file in files), sum(linked))
    _write_record(folder, staged, files)
    return staged


def read_staged(folder: Path) -> StagedCommit:
    """What `stage` made of this folder.

    Raises:
        UsageError: it was never staged.
    """
    return _read_record(folder).staged


def check_unchanged(folder: Path, manifest: Manifest) -> None:
    """Makes sure that every large file is in the LFS store as it was staged; reads only those with
    another stat.

    Raises:
        RefusedError: names the files that were edited in place since (see the module's text).
        UsageError: the folder was never staged, or from another manifest.
    """
    record = _read_record(folder)
    digests = {file.path: file.sha256 for file in manifest.files if file.lfs}
    if digests != {stamp.path: stamp.sha256 for stamp in record.objects}:
        raise UsageError(
            f"{folder.name} was staged from another {MANIFEST}",
            "run `hubkit track` on the folder again",
        )
    written = (folder / ".git" / _RECORD).stat().st_mtime_ns
    doubtful = [stamp for stamp in record.objects if not _is_as_stamped(folder, stamp, written)]
    changed = [stamp.path for stamp in doubtful if not _holds(folder, stamp)]
    if changed:
        raise RefusedError(
            f"edited in place since the release was staged: {', '.join(changed)}; its commit would "
            "carry wrong bytes",
            "put the original bytes back by replacing the file (not by editing it), or package the "
            "release again",
        )
    if doubtful:
        _write_record(folder, record.staged, manifest.files)


def damage(folder: Path, commit: str) -> str | None:
    """What keeps a release folder's repository from giving `commit` with all its files, if
    anything."""
    try:
        staged = read_staged(folder)
        check_unchanged(folder, manifests.read(folder))
        if staged.commit != commit or not Repository(folder, {}).holds(commit, staged.tag):
            return f"{folder.name}/.git does not hold commit {commit[:12]}"
    except (HubkitError, OSError) as error:
        return f"{folder.name}/.git: {getattr(error, 'message', error)}"
    return None


def _is_as_stamped(folder: Path, stamp: _Stamp, written: int) -> bool:
    path = object_path(folder / ".git", stamp.sha256)
    if not path.is_file():
        return False
    status = path.stat()
    same = (status.st_size, status.st_mtime_ns, status.st_ino) == (
        stamp.size,
        stamp.mtime_ns,
        stamp.inode,
    )
    return same and status.st_mtime_ns + _RACY_NS < written


def _holds(folder: Path, stamp: _Stamp) -> bool:
    path = object_path(folder / ".git", stamp.sha256)
    return path.is_file() and path.stat().st_size == stamp.size and sha256(path) == stamp.sha256


def _write_record(folder: Path, staged: StagedCommit, files: Iterable[ReleaseFile]) -> None:
    stamps = []
    for file in files:
        if file.lfs:
            status = object_path(folder / ".git", file.sha256).stat()
            stamps.append(
                _Stamp(file.path, file.sha256, status.st_size, status.st_mtime_ns, status.st_ino)
            )
    path = folder / ".git" / _RECORD
    partial = path.with_suffix(".partial")
    partial.write_text(
        json.dumps(encode(_Record(staged, tuple(stamps))), indent=1), encoding="utf-8"
    )
    partial.replace(path)


def _read_record(folder: Path) -> _Record:
    path = folder / ".git" / _RECORD
    remedy = "run `hubkit track` on the folder"
    try:
        return decode(_Record, json_text.load(path), str(path))
    except OSError:
        raise UsageError(f"{folder} is not staged for Git LFS", remedy) from None
    except (ValueError, RecursionError, UsageError) as error:
        raise UsageError(f"{path} is damaged: {getattr(error, 'message', error)}", remedy) from None


def _check_folder(folder: Path, manifest: Manifest) -> None:
    """Names and sizes against the manifest, so that the commit holds exactly what it lists."""
    written = folder / MANIFEST
    if not written.is_file() or written.read_bytes() != manifest.to_bytes():
        raise UsageError(
            f"{written} is not the manifest to be staged",
            "write the manifest into the folder first",
        )
    found = dict(manifests.release_files(folder))
    listed = {file.path: file.size for file in manifest.files}
    wrong = [f"{path} is not in the manifest" for path in sorted(found.keys() - listed.keys())]
    wrong += [f"{path} is missing" for path in sorted(listed.keys() - found.keys())]
    wrong += [
        f"{path} has {found[path]} bytes, not {listed[path]}"
        for path in sorted(found)
        if listed.get(path, found[path]) != found[path]
    ]
    if wrong:
        raise RefusedError(
            f"{folder.name} is not what its manifest says: {'; '.join(wrong)}",
            "package the release again",
        )
