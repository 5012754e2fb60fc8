"""Git plumbing in a release folder: deterministic commits and tags, no `git add`, no user
configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ..sdk.errors import RefusedError, UsageError
from ..sdk.gitcli import LFS_FILTER, GitFailed, clean_environment, run_git
from ..sdk.hub import ReleaseFile
from .manifest import utc_seconds

_CONFIG = {
    "core.trustctime": "false",  # linking a file changes its ctime
    **{f"filter.lfs.{key}": value for key, value in LFS_FILTER},
}


def identity(name: str, email: str, date: str) -> dict[str, str]:
    """Author and committer as git's environment variables."""
    try:
        moment = f"{utc_seconds(date)} +0000"
    except ValueError:
        raise UsageError(
            f"commit date {date!r} is not an ISO date",
            "write it as 2026-01-31 or 2026-01-31T12:00:00+00:00",
        ) from None
    if not name.strip() or not email.strip() or any(c in name + email for c in "<>\n\0"):
        raise UsageError(
            f"author {name!r} {email!r} cannot be a commit's author",
            "give a name and an e-mail address without < and >",
        )
    return {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", name), ("EMAIL", email), ("DATE", moment))
    }


class Repository:
    """`folder` with its `.git`, deaf to the user's and the system's configuration."""

    def __init__(self, folder: Path, identity: Mapping[str, str]) -> None:
        self.folder, self.dir = folder, folder / ".git"
        self.environment = clean_environment(isolated=True, **identity)

    def run(self, *arguments: str, stdin: bytes = b"") -> str:
        located = {
            "GIT_DIR": str(self.dir.absolute()),
            "GIT_WORK_TREE": str(self.folder.absolute()),
        }
        arguments = ("-c", f"core.hooksPath={os.devnull}", *arguments)
        return run_git(
            arguments, cwd=self.folder, environment=self.environment | located, stdin=stdin
        ).strip()

    def open(self, branch: str, tag: str) -> None:
        """An existing repository, or a new one; its configuration is set so that status and fsck
        agree with what is staged."""
        for kind, name in (("heads", branch), ("tags", tag)):
            try:
                run_git(
                    ["check-ref-format", f"refs/{kind}/{name}"],
                    cwd=self.folder,
                    environment=self.environment,
                )
            except GitFailed:
                raise UsageError(
                    f"{name!r} cannot be the name of a git {kind[:-1]}", "choose another name"
                ) from None
        if self.dir.is_symlink() or (self.dir.exists() and not self.dir.is_dir()):
            raise UsageError(
                f"{self.dir} is a link to a repository elsewhere",
                "use a folder that is a repository of its own",
            )
        if not (self.dir / "HEAD").is_file():
            self.run(
                "init",
                "--quiet",
                "--template=",
                "--object-format=sha1",
                f"--initial-branch={branch}",
            )
        present = set(self.run("config", "--local", "--list", "--null").split("\0"))
        for key, value in _CONFIG.items():
            if f"{key}\n{value}" not in present:
                self.run("config", "--local", key, value)

    def resolve(self, revision: str) -> str | None:
        try:
            return self.run(
                "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
            )
        except GitFailed:
            return None

    def holds(self, commit: str, tag: str) -> bool:
        """Whether branch and tag name `commit`, and every object that it needs is there."""
        try:
            self.run("fsck", "--connectivity-only", "--no-dangling", "--no-progress")
        except GitFailed:
            return False
        return self.resolve("HEAD") == self.resolve(f"refs/tags/{tag}") == commit

    def check_attributes(self, files: tuple[ReleaseFile, ...]) -> None:
        names = "".join(f"{file.path}\0" for file in files).encode()
        fields = self.run("check-attr", "-z", "--stdin", "filter", stdin=names).split("\0")
        tracked = {
            path for path, value in zip(fields[0::3], fields[2::3], strict=False) if value == "lfs"
        }
        wrong = sorted({file.path for file in files if file.lfs} ^ tracked)
        if wrong:
            raise RefusedError(
                f".gitattributes and the manifest disagree on Git LFS for {', '.join(wrong)}",
                "write .gitattributes with hubkit before the manifest is built",
            )

    def commit(self, tree: str, message: str, parent: str | None) -> str:
        """The parent itself when it holds the same tree."""
        if parent is None:
            return self.run("commit-tree", tree, stdin=_text(message))
        if self.run("rev-parse", f"{parent}^{{tree}}") == tree:
            return str(self.resolve(parent))
        return self.run("commit-tree", tree, "-p", parent, stdin=_text(message))

    def set_refs(self, branch: str, tag: str, commit: str, message: str) -> None:
        """Branch and tag in one transaction."""
        updates = [f"update refs/heads/{branch} {commit}"]
        named = self.resolve(f"refs/tags/{tag}")
        if named not in (None, commit):
            raise RefusedError(
                f"tag {tag} names commit {named} already, this release is {commit}",
                f"choose another tag; or, if it was never pushed, `git tag -d {tag}` in "
                f"{self.folder} and run again",
            )
        if named is None:
            header = (
                f"object {commit}\ntype commit\ntag {tag}\ntagger "
                f"{self.run('var', 'GIT_COMMITTER_IDENT')}\n\n"
            )
            updates.append(
                f"create refs/tags/{tag} "
                f"{self.run('mktag', stdin=header.encode() + _text(message))}"
            )
        self.run("update-ref", "--stdin", stdin="".join(f"{line}\n" for line in updates).encode())
        self.run("symbolic-ref", "HEAD", f"refs/heads/{branch}")


def _text(message: str) -> bytes:
    return (message.strip() + "\n").encode()
