"""The hub without its protocols: repositories, what is in them, and how they change."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ..sdk.errors import EnvironmentFailure
from .database import Blob, Database, Repository
from .identity import Links, Tokens, User, check_name
from .objects import ObjectStore
from .refusal import Moved, Refusal
from .repository import DEFAULT_BRANCH, Change, GitRepository

BLOB_LIMIT = 10 * 1024 * 1024
"""Hugging Face rejects a larger file outside Git LFS."""
BINARY_LIMIT = 10**6
"""And wants binary files in Git LFS from this size on."""
POINTER_LIMIT = 1024
POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-[^\n]*\n)*"
    rb"oid sha256:(?P<oid>[0-9a-f]{64})\nsize (?P<size>\d+)\n"
)


@dataclass(frozen=True)
class File:
    """A file of a revision; `blob` is git's id, `pointer` the length of its Git LFS pointer (0: it
    is in git itself)."""

    path: str
    blob: str
    size: int
    sha256: str
    pointer: int


@dataclass(frozen=True)
class Folder:
    path: str
    tree: str


def pointer(oid: str, size: int) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n".encode()


class Hub:
    """`part_size` and `multipart_above` in bytes: larger Git LFS objects are asked for in parts
    where a client can."""

    def __init__(
        self, data: Path, *, multipart_above: int = 5 * 10**9, part_size: int = 500 * 10**6
    ) -> None:
        self.data = data.absolute()
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_file = _locked(self.data)
        for leftover in self.data.glob("hub-commit-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        self.objects = ObjectStore(self.data)
        self.database = Database(self.data / "hub.sqlite")
        self.tokens, self.links = Tokens(), Links()
        self.multipart_above, self.part_size = multipart_above, part_size
        self._hooks = self._write_hooks()
        self.empty = GitRepository(self.data / "empty.git", self._hooks)
        if not self.empty.path.exists():
            self.empty.create()
        self._lock = threading.Lock()
        self._repositories: dict[int, GitRepository] = {}
        self._writing: dict[int, threading.Lock] = {}

    def close(self) -> None:
        self.objects.close()
        self.database.close()
        self._lock_file.release()

    def _write_hooks(self) -> Path:
        """git's own hook runs this package's file by its path."""
        hooks = self.data / "hooks"
        hooks.mkdir(exist_ok=True)
        hook = hooks / "pre-receive"
        script = Path(__file__).with_name("pre_receive.py")
        command = [sys.executable, "-I", str(script), str(self.objects.folder), str(BLOB_LIMIT)]
        hook.write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n", encoding="utf-8")
        hook.chmod(0o755)
        return hooks

    def git(self, repository: Repository) -> GitRepository:
        with self._lock:
            if repository.id not in self._repositories:
                path = self.data / "repositories" / f"{repository.id}.git"
                self._repositories[repository.id] = GitRepository(path, self._hooks)
            return self._repositories[repository.id]

    def writing(self, repository: Repository) -> AbstractContextManager[bool]:
        """Held while a commit is made: one at a time in a repository."""
        with self._lock:
            return self._writing.setdefault(repository.id, threading.Lock())

    def find(self, name: str, user: User | None, *, write: bool = False) -> Repository:
        """The repository, if `user` may read (or write) it.

        Raises:
            Moved: it has another name now.
            Refusal: 401 or 404 as on the real hubs: who may not read a repository is not told that
                it exists; 401 or 403 for writing.
        """
        repository = self.database.repository(name)
        if repository is None and (new := self.database.moved_to(name)):
            raise Moved(name, new)
        if repository is None or (repository.private and user is None):
            raise Refusal(404 if user else 401, f"Repository not found: {name}", "RepoNotFound")
        if write:
            require_write(user)
        return repository

    def create(
        self,
        name: str,
        user: User | None,
        *,
        private: bool,
        license: str = "",
        files: dict[str, bytes] | None = None,
    ) -> Repository:
        """A new repository; with `files`, a first commit holds them.

        Raises:
            Refusal: 400, 401, 403; 409 when there is one of that name.
        """
        author = require_write(user).name
        repository = self.database.add_repository(
            check_name(name), private=private, license=license, creator=author
        )
        if repository is None:
            raise Refusal(409, f"You already created this model repo: {name}")
        try:
            git = self.git(repository)
            git.create()
            if files:
                changes = [Change(path, git.write_blob(data)) for path, data in files.items()]
                git.commit(
                    f"refs/heads/{DEFAULT_BRANCH}",
                    None,
                    "initial commit",
                    author,
                    changes,
                    old=None,
                )
        except BaseException:
            self.delete(repository)
            raise
        return repository

    def for_push(self, name: str, user: User | None) -> Repository:
        """The repository for a push with git: a new, private and empty one when the name is free.

        Raises:
            Moved, Refusal: as `find` and `create`.
        """
        require_write(user)
        try:
            return self.find(name, user, write=True)
        except Refusal as refusal:
            if refusal.status != 404:
                raise
        repository = self.create(name, user, private=True)
        self.database.add_event(
            "git", repository.creator, "create repository", name, "private, by a push"
        )
        return repository

    def delete(self, repository: Repository) -> None:
        path = self.git(repository).path
        self.database.remove(repository.id)
        with self._lock:
            self._repositories.pop(repository.id, None)
        shutil.rmtree(path, ignore_errors=True)

    def files(self, repository: Repository, commit: str) -> dict[str, File]:
        """Path to file, with the sha256 of the content that users get."""
        git = self.git(repository)
        entries = [entry for entry in git.tree(commit) if entry.kind == "blob"]
        known = self.database.blobs(list({entry.oid for entry in entries}))
        lacking = sorted({entry.oid for entry in entries} - known.keys())
        if lacking:
            measured = [measure(oid, data) for oid, data in git.blobs(lacking)]
            self.database.add_blobs(measured)
            known |= {blob.oid: blob for blob in measured}
        facts = ((entry.path, known[entry.oid]) for entry in entries)
        return {
            path: File(path, blob.oid, blob.size, blob.sha256, blob.pointer) for path, blob in facts
        }

    def folders(self, repository: Repository, commit: str) -> dict[str, Folder]:
        tree = self.git(repository).tree(commit)
        return {entry.path: Folder(entry.path, entry.oid) for entry in tree if entry.kind == "tree"}

    def file(self, repository: Repository, commit: str, path: str) -> File:
        """
        Raises:
            Refusal: 404, there is no such file at `commit`.
        """
        try:
            return self.files(repository, commit)[path]
        except KeyError:
            raise Refusal(
                404,
                f"Entry not found: {path} is not in {repository.name} at {commit}",
                "EntryNotFound",
            ) from None

    def attributes(self, repository: Repository, commit: str | None) -> bytes:
        """.gitattributes at `commit`; empty without one."""
        file = self.files(repository, commit).get(".gitattributes") if commit else None
        return self.git(repository).blob(file.blob) if file else b""

    def head(self, repository: Repository, revision: str) -> str | None:
        """The commit that the branch or pull request `revision` is at."""
        return self.git(repository).refs().get(branch_ref(revision))

    def commit(
        self,
        repository: Repository,
        revision: str,
        message: str,
        author: str,
        changes: Sequence[Change],
        *,
        parent: str | None = None,
        onto: str | None = None,
    ) -> str:
        """A commit on the branch `revision` (created when the repository is empty); with `onto`, on
        a new ref from there.

        Raises:
            Refusal: 404, no such branch; 412, its head is not `parent`, or it moved meanwhile.
        """
        git = self.git(repository)
        ref = branch_ref(revision)
        with self.writing(repository):
            refs = git.refs()
            old = refs.get(ref)
            head = onto or old
            if head is None and any(name.startswith("refs/heads/") for name in refs):
                raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
            if parent and parent != head and not (head and head.startswith(parent)):
                raise Refusal(
                    412,
                    f"A commit has happened since. Please refresh and try again. ({revision} is at "
                    f"{head})",
                )
            commit = git.commit(ref, head, message, author, changes, old=old)
        self.database.set_repository(repository.id)
        return commit


def _locked(data: Path) -> FileLock:
    """
    Raises:
        EnvironmentFailure: another hub is running on this folder.
    """
    lock = FileLock(data / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise EnvironmentFailure(
            f"another hub is running on {data}", "stop it, or give this one another --data folder"
        ) from None
    return lock


def branch_ref(revision: str) -> str:
    """The full name of the branch (or pull request) that a commit goes to."""
    return (
        revision if revision.startswith(("refs/heads/", "refs/pr/")) else f"refs/heads/{revision}"
    )


def measure(oid: str, data: bytes) -> Blob:
    found = POINTER.fullmatch(data) if len(data) < POINTER_LIMIT else None
    if found:
        return Blob(oid, int(found["size"]), found["oid"].decode(), len(data))
    return Blob(oid, len(data), hashlib.sha256(data).hexdigest(), 0)


def require_write(user: User | None) -> User:
    """
    Raises:
        Refusal: 401 without a token, 403 with one that only reads.
    """
    if user is None:
        raise Refusal(401, "Invalid username or password.")
    if not user.write:
        raise Refusal(403, "Forbidden: you must use a write token")
    return user
