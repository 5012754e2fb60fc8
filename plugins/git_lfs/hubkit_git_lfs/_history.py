"""Where a release goes in a remote's history: as it is, or as a commit on top of another release.
Never over anything."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from hubkit.sdk import PublishInput, RefusedError
from hubkit.sdk.gitcli import GitFailed, clean_environment, run_git
from hubkit.sdk.hubs import GIVEN, MANIFEST, another_release, is_manifest, still_shown
from hubkit.sdk.text import one_line

from ._remote import Remote


@dataclass(frozen=True)
class Place:
    """The release's `commit` at the remote, and the `refspecs` that the remote lacks, pushed from
    the repository `git_dir`."""

    commit: str
    refspecs: tuple[str, ...]
    git_dir: Path


class History:
    """Looks at the remote's commits in a scratch repository over the release's own objects, which
    ends with the block."""

    def __init__(self, job: PublishInput, remote: Remote, branch: str, *, replace: bool) -> None:
        self._job, self._remote, self._branch, self._replace = job, remote, branch, replace
        self._own = job.folder.absolute() / ".git"

    def __enter__(self) -> History:
        self._folder = tempfile.TemporaryDirectory(prefix="hubkit-git-")
        self._scratch = Path(self._folder.name)
        self._git("init", "--quiet", "--bare", "--template=")
        alternates = self._scratch / "objects" / "info" / "alternates"
        alternates.parent.mkdir(exist_ok=True)
        alternates.write_text(f"{self._own / 'objects'}\n", "utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def place(self, refs: Mapping[str, str]) -> Place:
        """From the remote's `refs`; a release is known by its files, whatever commit holds them.

        Raises:
            RefusedError: the tag names another release there, or the branch has commits of somebody
                else.
        """
        job, page = self._job, self._remote.target.page
        tag, branch = f"refs/tags/{job.tag}", f"refs/heads/{self._branch}"
        tagged, head = refs.get(tag), refs.get(branch)
        if tagged is not None:
            if not self._is_release(tagged):
                raise another_release(page, job.tag, f"{tagged}, this one is {job.commit}")
            if head is None:
                return Place(tagged, (f"{tagged}:{branch}",), self._scratch)
            if head == tagged or self._is_release(head):
                return Place(head, (), self._scratch)
            if self._still_shown(head):
                return Place(tagged, (), self._scratch)
            commit = self._on_top_of(head)
            return Place(commit, (f"{commit}:{branch}",), self._scratch)
        if head is None or self._builds_on(head):
            moved = () if head == job.commit else (f"{job.commit}:{branch}",)
            return Place(job.commit, (*moved, f"{tag}:{tag}"), self._own)
        if self._is_release(head):
            return Place(head, (f"{self._tag_of(head)}:{tag}",), self._scratch)
        commit = self._on_top_of(head)
        return Place(commit, (f"{commit}:{branch}", f"{self._tag_of(commit)}:{tag}"), self._scratch)

    def _is_release(self, commit: str) -> bool:
        if commit == self._job.commit:
            return True
        self._fetch(commit)
        return self._git("rev-parse", f"{commit}^{{tree}}") == self._git(
            "rev-parse", f"{self._job.commit}^{{tree}}"
        )

    def _still_shown(self, head: str) -> bool:
        ours, theirs = self._blobs(self._job.commit), self._blobs(head)
        return still_shown(ours, theirs, [path for path in ours if ours[path] != theirs.get(path)])

    def _blobs(self, commit: str) -> dict[str, str]:
        """Mode and id of each file of a commit that is here."""
        lines = self._git("ls-tree", "-r", "-z", commit).split("\0")[:-1]
        return {path: entry for entry, _, path in (line.partition("\t") for line in lines)}

    def _builds_on(self, head: str) -> bool:
        try:
            self._git("merge-base", "--is-ancestor", head, self._job.commit)
        except GitFailed:
            return False
        return True

    def _refuse_strangers(self, head: str) -> None:
        paths = self._git("ls-tree", "-r", "-z", "--name-only", head).split("\0")[:-1]
        if self._replace or set(paths) <= GIVEN:
            return
        if MANIFEST in paths and is_manifest(
            self._git("cat-file", "blob", f"{head}:{MANIFEST}").encode("utf-8", "replace")
        ):
            return
        raise RefusedError(
            f"{self._remote.target.page} has commits on {self._branch} that this release does not "
            f"build on (its head is {head}), and what is there is no release: "
            f"{one_line(', '.join(sorted(paths)[:10]))}",
            "publish to another repository or branch, or set the option replace: true: the release "
            "then goes on top, and nothing is ever overwritten",
        )

    def _on_top_of(self, head: str) -> str:
        """The release's commit with another parent: the same files, author, dates and message,
        hence the same id each time.

        Raises:
            RefusedError: the parent holds somebody else's files.
        """
        self._refuse_strangers(head)
        header, _, message = self._git("cat-file", "commit", self._job.commit).partition("\n\n")
        kept = {line.partition(" ")[0]: line for line in header.splitlines()}
        lines = [kept["tree"], f"parent {head}", kept["author"], kept["committer"]]
        return self._write("commit", "\n".join(lines) + "\n\n" + message)

    def _tag_of(self, commit: str) -> str:
        """The release's annotated tag, on another commit."""
        header, _, message = self._git("cat-file", "tag", f"{self._own_tag()}").partition("\n\n")
        lines = [
            f"object {commit}" if line.startswith("object ") else line
            for line in header.splitlines()
        ]
        return self._write("tag", "\n".join(lines) + "\n\n" + message)

    def _own_tag(self) -> str:
        return self._git("rev-parse", f"refs/tags/{self._job.tag}", git_dir=self._own).strip()

    def _write(self, kind: str, text: str) -> str:
        return self._git(
            "hash-object",
            "-t",
            kind,
            "-w",
            "--stdin",
            stdin=text.encode("utf-8", "surrogateescape"),
        ).strip()

    def _fetch(self, commit: str) -> None:
        """The commit and its files, pointers for the large ones; nothing when it is here."""
        try:
            self._git("cat-file", "-e", f"{commit}^{{tree}}")
        except GitFailed:
            fetch = (
                "fetch",
                "--quiet",
                "--no-tags",
                "--depth=1",
                self._remote.target.url,
                f"+{commit}:refs/hubkit/{commit}",
            )
            self._remote.git(*fetch, cwd=self._scratch, GIT_DIR=str(self._scratch))

    def _git(self, *arguments: str, git_dir: Path | None = None, stdin: bytes = b"") -> str:
        environment = clean_environment(isolated=True, GIT_DIR=str(git_dir or self._scratch))
        return run_git(arguments, cwd=self._scratch, environment=environment, stdin=stdin)
