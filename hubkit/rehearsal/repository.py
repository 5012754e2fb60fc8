"""A model's bare git repository, read and written by plumbing: the one truth behind all
protocols."""

from __future__ import annotations

import re
import subprocess
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ..sdk.gitcli import clean_environment
from .refusal import Refusal

DEFAULT_BRANCH = "main"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NONE = "0" * 40
_CONFIG = (
    "gc.auto=0",
    "core.logAllRefUpdates=true",
    "receive.fsckObjects=true",
    "receive.advertiseAtomic=true",
    "uploadpack.allowAnySHA1InWant=true",
    "uploadpack.allowFilter=true",
)


@dataclass(frozen=True)
class Entry:
    """A line of `ls-tree`: `kind` is blob, tree or commit; `size` is 0 but for blobs."""

    path: str
    mode: str
    kind: str
    oid: str
    size: int


@dataclass(frozen=True)
class Change:
    """`blob` is written at `path`; without one, `path` is removed, and with `folder` everything
    below it."""

    path: str
    blob: str = ""
    folder: bool = False


@dataclass(frozen=True)
class Commit:
    """`date` is ISO 8601 in UTC."""

    id: str
    parents: tuple[str, ...]
    author: str
    date: str
    title: str
    body: str


class GitFault(Exception):
    """git failed; `str()` is what it said."""


class GitRepository:
    """Methods are safe from several threads and beside pushes: refs move only from the value that
    was read."""

    def __init__(self, path: Path, hooks: Path, environment: dict[str, str] | None = None) -> None:
        self.path = path
        self._environment = clean_environment(
            isolated=True, GIT_DIR=str(path), **(environment or {})
        )
        self._hooks = hooks
        self._lock = threading.Lock()
        self._trees: OrderedDict[str, tuple[Entry, ...]] = OrderedDict()

    def create(self) -> None:
        self.path.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", "--template=", f"--initial-branch={DEFAULT_BRANCH}")
        for setting in _CONFIG:
            self.git("config", *setting.split("=", 1))

    def git(
        self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> bytes:
        """stdout of a git command; `environment` is set besides the repository's.

        Raises:
            GitFault: it exited with an error.
        """
        done = subprocess.run(
            ["git", *arguments],
            input=stdin,
            capture_output=True,
            env=self._environment | dict(environment or {}),
            cwd=self.path,
            check=False,
        )
        if done.returncode:
            raise GitFault(done.stderr.decode(errors="replace").strip())
        return done.stdout

    def service(
        self, service: str, *arguments: str, protocol: str
    ) -> tuple[list[str], dict[str, str]]:
        """Command and environment of `git upload-pack` or `git receive-pack` for one request of the
        http protocol."""
        environment = {**self._environment, "GIT_PROTOCOL": protocol}
        hooks = f"core.hooksPath={self._hooks}"
        return [
            "git",
            "-c",
            hooks,
            service,
            "--stateless-rpc",
            *arguments,
            str(self.path),
        ], environment

    def refs(self) -> dict[str, str]:
        """Commit ids by full name; annotated tags are followed to their commit."""
        listed = self.git(
            "for-each-ref", "--format=%(refname) %(objectname) %(*objectname)"
        ).decode()
        return {
            name: (peeled[0] if peeled else oid)
            for name, oid, *peeled in map(str.split, listed.splitlines())
        }

    def resolve(self, revision: str) -> str:
        """The commit that a branch, tag, full ref name or commit id names; HEAD is the default
        branch.

        Raises:
            Refusal: 404, there is no such revision.
        """
        refs = self.refs()
        revision = DEFAULT_BRANCH if revision == "HEAD" else revision
        for name in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if name in refs:
                return refs[name]
        if _COMMIT.fullmatch(revision):
            try:
                if self.git("cat-file", "-t", revision).strip() == b"commit":
                    return revision
            except GitFault:
                pass
        raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def tree(self, commit: str) -> tuple[Entry, ...]:
        """Everything at `commit`, folders too, sorted by path. The last hundred answers are
        kept."""
        with self._lock:
            if commit in self._trees:
                self._trees.move_to_end(commit)
                return self._trees[commit]
        entries = []
        for line in self.git("ls-tree", "-r", "-t", "-l", "-z", commit).split(b"\0")[:-1]:
            facts, _, path = line.partition(b"\t")
            mode, kind, oid, size = facts.decode().split()
            entries.append(
                Entry(
                    path.decode(errors="replace"), mode, kind, oid, 0 if size == "-" else int(size)
                )
            )
        found = tuple(sorted(entries, key=lambda entry: entry.path))
        with self._lock:
            self._trees[commit] = found
            while len(self._trees) > 100:
                self._trees.popitem(last=False)
        return found

    def blob(self, oid: str) -> bytes:
        return self.git("cat-file", "blob", oid)

    def blobs(self, oids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """The content of each blob, one at a time in memory."""
        with subprocess.Popen(
            ["git", "cat-file", "--batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
            cwd=self.path,
        ) as process:
            assert process.stdin and process.stdout
            for oid in oids:
                process.stdin.write(f"{oid}\n".encode())
                process.stdin.flush()
                size = int(process.stdout.readline().split()[2])
                yield oid, process.stdout.read(size)
                process.stdout.read(1)
            process.stdin.close()

    def write_blobs(self, files: Sequence[Path]) -> list[str]:
        names = "".join(f"{path}\n" for path in files).encode()
        return (
            self.git("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=names)
            .decode()
            .split()
            if files
            else []
        )

    def write_blob(self, data: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=data).decode().strip()

    def log(self, revision: str, limit: int = 50, skip: int = 0, path: str = "") -> list[Commit]:
        """The newest first."""
        form = "--format=%H%x00%P%x00%an%x00%ct%x00%s%x00%b%x01"
        listed = self.git(
            "log",
            f"--max-count={limit}",
            f"--skip={skip}",
            form,
            revision,
            *(("--", path) if path else ()),
        )
        return [
            _commit(record.strip("\n").split("\0"))
            for record in listed.decode(errors="replace").split("\x01")[:-1]
        ]

    def commit(
        self,
        ref: str,
        parent: str | None,
        message: str,
        author: str,
        changes: Sequence[Change],
        *,
        old: str | None,
    ) -> str:
        """A commit with `changes` on top of `parent`'s tree; `ref` moves to it from `old` (None: it
        must not exist).

        Raises:
            Refusal: 400, git does not accept a path; 404, a path to remove is not there; 412, `ref`
                has moved meanwhile.
        """
        with tempfile.TemporaryDirectory(prefix="hub-index-") as temporary:
            index = {"GIT_INDEX_FILE": f"{temporary}/index"}
            if parent:
                self.git("read-tree", parent, environment=index)
            lines = self._index_lines(changes, self.tree(parent) if parent else ())
            try:
                self.git(
                    "update-index",
                    "-z",
                    "--replace",
                    "--index-info",
                    stdin=b"".join(lines),
                    environment=index,
                )
                tree = self.git("write-tree", environment=index).decode().strip()
            except GitFault as fault:
                raise Refusal(400, f"git does not accept the commit: {fault}") from None
        who = {
            f"GIT_{role}_{key}": value
            for role in ("AUTHOR", "COMMITTER")
            for key, value in _identity(author)
        }
        parents = ("-p", parent) if parent else ()
        commit = (
            self.git(
                "commit-tree",
                tree,
                *parents,
                stdin=(message.strip() + "\n").encode(),
                environment=who,
            )
            .decode()
            .strip()
        )
        self.set_ref(ref, commit, old, message=message)
        return commit

    def _index_lines(self, changes: Sequence[Change], tree: Sequence[Entry]) -> Iterator[bytes]:
        present = {entry.path for entry in tree if entry.kind != "tree"}
        for change in changes:
            if change.blob:
                yield f"100644 {change.blob}\t{change.path}\0".encode()
                continue
            prefix = change.path.rstrip("/") + "/"
            gone = (
                [path for path in present if path.startswith(prefix)]
                if change.folder
                else [change.path.rstrip("/")]
            )
            if not gone or not present.issuperset(gone):
                raise Refusal(
                    404, f"A file with this name doesn't exist: {change.path}", "EntryNotFound"
                )
            for path in gone:
                yield f"0 {_NONE}\t{path}\0".encode()

    def set_ref(self, ref: str, new: str | None, old: str | None, message: str = "") -> None:
        """Moves `ref` from `old` to `new`; None stands for "not there".

        Raises:
            Refusal: 400, not a name that git allows; 412, it is not `old` (any more).
        """
        try:
            self.git("check-ref-format", ref)
        except GitFault:
            raise Refusal(400, f"{ref!r} cannot be the name of a branch or tag") from None
        try:
            if new is None:
                self.git("update-ref", "-d", ref, old or _NONE)
            else:
                self.git(
                    "update-ref",
                    "-m",
                    message.splitlines()[0] if message else "set",
                    ref,
                    new,
                    old or _NONE,
                )
        except GitFault as fault:
            raise Refusal(
                412, f"A commit has happened since. Please refresh and try again. ({fault})"
            ) from None

    def tag(self, name: str, commit: str, message: str, author: str) -> None:
        """An annotated tag, or a light one without a message.

        Raises:
            Refusal: 409, the tag is there already.
        """
        target = commit
        if message:
            who = dict(_identity(author))
            stamp = f"tagger {who['NAME']} <{who['EMAIL']}> {int(time.time())} +0000"
            header = f"object {commit}\ntype commit\ntag {name}\n{stamp}\n\n{message.strip()}\n"
            try:
                target = self.git("mktag", stdin=header.encode()).decode().strip()
            except GitFault as fault:
                raise Refusal(400, f"git does not accept the tag: {fault}") from None
        if f"refs/tags/{name}" in self.refs():
            raise Refusal(409, f"Tag reference exists already: {name}")
        self.set_ref(f"refs/tags/{name}", target, None)

    def ref_object(self, ref: str) -> str:
        """What `ref` names itself: for an annotated tag the tag object."""
        return self.git("rev-parse", "--verify", ref).decode().strip()

    def is_ancestor(self, old: str, new: str) -> bool:
        try:
            self.git("merge-base", "--is-ancestor", old, new)
        except GitFault:
            return False
        return True


def _identity(author: str) -> tuple[tuple[str, str], ...]:
    name = re.sub(r"[<>\n\0]", "", author).strip() or "user"
    return ("NAME", name), ("EMAIL", f"{re.sub(r'[^A-Za-z0-9._-]', '-', name)}@rehearsal.invalid")


def _commit(fields: list[str]) -> Commit:
    id, parents, author, seconds, title, body = fields
    date = datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return Commit(id, tuple(parents.split()), author, date, title, body.strip())
