"""Reading a remote back: its file list without the large files, and a full download."""

from __future__ import annotations

import hashlib
import re
import stat
import tempfile
from pathlib import Path
from typing import Any

from hubkit.sdk import RemoteFile, Run, UsageError
from hubkit.sdk.gitcli import clean_environment, run_git
from hubkit.sdk.hubs import whole

from ._local import missing
from ._remote import Remote

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*"
    rb"oid sha256:(?P<oid>[0-9a-f]{64})\nsize (?P<size>\d+)\n"
)
_POINTER_LIMIT = 1024
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHUNK = 4 * 1024 * 1024
_SUBMODULE = 0o160000
_FETCHED = "refs/hubkit/fetched"


def resolve(remote: Remote, revision: str) -> str:
    """The commit id that a tag, branch or commit id names at the remote; the default branch's for
    "".

    Raises:
        UsageError: the remote has no such revision.
    """
    refs = remote.refs()
    for name in ("HEAD",) if not revision else (f"refs/tags/{revision}", f"refs/heads/{revision}"):
        if name in refs:
            return refs[name]
    if _COMMIT.fullmatch(revision):
        return revision
    known = sorted(
        name.removeprefix("refs/heads/").removeprefix("refs/tags/")
        for name in refs
        if name != "HEAD"
    )
    listed = ", ".join(known[:20]) or "nothing: it is empty"
    what = f"revision {revision!r}" if revision else "default branch"
    raise UsageError(
        f"{remote.target.page} has no {what}",
        f"name one that is there ({listed}), or publish first",
    )


def files(remote: Remote, revision: str, run: Run) -> tuple[RemoteFile, ...]:
    """Names, sizes and sha256 at `revision`: from the pointers of large files, from the bytes of
    small ones. Of a local repository, a large file is left out when the LFS store lacks its object
    or has it with another size."""
    commit = resolve(remote, revision)
    with tempfile.TemporaryDirectory(prefix="hubkit-git-") as temporary:
        folder = Path(temporary)
        run_git(
            ["init", "--quiet", "--bare", "--template="],
            cwd=folder,
            environment=clean_environment(isolated=True),
        )
        fetch = (
            "fetch",
            "--quiet",
            "--no-tags",
            "--depth=1",
            remote.target.url,
            f"+{commit}:{_FETCHED}",
        )
        remote.git(*fetch, cwd=folder, GIT_DIR=temporary)
        listed = _listed(folder, commit)
    found = [file for file, _ in listed]
    if remote.target.local is not None:
        pointed = [file for file, is_pointer in listed if is_pointer]
        lacking = set(missing(remote.target.local, [(file.sha256, file.size) for file in pointed]))
        for file in pointed:
            if file.sha256 in lacking:
                run.note(
                    f"{remote.target.page}: the LFS object of {file.path} is missing or has "
                    "another size"
                )
                found.remove(file)
    return tuple(sorted(found, key=lambda file: file.path))


def _listed(folder: Path, commit: str) -> list[tuple[RemoteFile, bool]]:
    """Each file with whether it is a pointer; a submodule has neither size nor digest."""
    from git.objects.fun import traverse_tree_recursive
    from gitdb import GitDB

    # not through git.Repo, which follows GIT_OBJECT_DIRECTORY and the like to another repository
    objects = GitDB(str(folder / "objects"))
    header = objects.stream(bytes.fromhex(commit)).read()
    tree = bytes.fromhex(re.match(rb"tree ([0-9a-f]{40})\n", header)[1].decode())  # type: ignore[index]
    return [_file(objects, *entry) for entry in traverse_tree_recursive(objects, tree, "")]


def _file(objects: Any, blob: bytes, mode: int, path: str) -> tuple[RemoteFile, bool]:
    if stat.S_IFMT(mode) == _SUBMODULE:
        return RemoteFile(path, 0, ""), False
    stream = objects.stream(blob)
    if stream.size < _POINTER_LIMIT:
        data = stream.read()
        if found := _POINTER.fullmatch(data):
            return RemoteFile(path, int(found["size"]), found["oid"].decode()), True
        return RemoteFile(path, len(data), hashlib.sha256(data).hexdigest()), False
    digest = hashlib.sha256()
    while block := stream.read(_CHUNK):
        digest.update(block)
    return RemoteFile(path, stream.size, digest.hexdigest()), False


def download(remote: Remote, revision: str, out: Path, run: Run) -> None:
    """`git clone`, checkout and `git lfs pull` beside `out`, then renamed: `out` is whole or not
    there.

    Raises:
        UsageError: `out` exists, or the remote has no such revision.
        RemoteError: a transfer failed.
    """
    with whole(out) as folder:
        total = sum(file.size for file in files(remote, revision, run))
        commit = resolve(remote, revision)
        clone = ("clone", "--quiet", "--no-checkout", "--template=", remote.target.url, str(folder))
        remote.git(*clone, cwd=out.parent, GIT_LFS_SKIP_SMUDGE="1")
        remote.git(
            "checkout", "--quiet", *_checkout(revision, commit), cwd=folder, GIT_LFS_SKIP_SMUDGE="1"
        )
        remote.lfs("pull", cwd=folder, total=total)


def _checkout(revision: str, commit: str) -> tuple[str, ...]:
    return ("--detach", commit) if revision else ()
