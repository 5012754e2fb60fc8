"""The actions of a commit that came over an API, until git has them: small files on disk, large
ones as checked pointers."""

from __future__ import annotations

import base64
import binascii
import tempfile
from pathlib import Path
from types import TracebackType

from . import attributes, card
from .database import Repository
from .hub import BLOB_LIMIT, Hub, pointer
from .objects import check_oid
from .refusal import Refusal
from .repository import Change

ATTRIBUTES = ".gitattributes"
CARD = "README.md"


class Draft:
    """A context manager: its temporary files go when it ends."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._folder = tempfile.TemporaryDirectory(prefix="hub-commit-", dir=hub.data)
        self._changes: list[tuple[str, Path | None, bool]] = []
        self._pointed: list[str] = []

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def __len__(self) -> int:
        return len(self._changes)

    def add(self, path: str, content: str, encoding: str = "base64") -> None:
        """
        Raises:
            Refusal: 400, a bad path, bad base64, or more than 10 MiB.
        """
        try:
            data = (
                base64.b64decode(content, validate=True)
                if encoding == "base64"
                else content.encode()
            )
        except (binascii.Error, ValueError):
            raise Refusal(400, f"{path}: the content is not base64") from None
        if len(data) > BLOB_LIMIT:
            raise Refusal(
                400,
                f"{path} has {len(data)} bytes: files over {BLOB_LIMIT} bytes must go through Git "
                "LFS",
            )
        self._write(path, data)

    def add_lfs(self, path: str, oid: object, size: object) -> None:
        """`size` may be None where the client does not send it.

        Raises:
            Refusal: 400 or 422, the object was not uploaded.
        """
        stored = self._hub.objects.size(oid) if isinstance(oid, str) else None
        sha256, length = check_oid(oid, stored if size is None else size)
        if stored != length:
            raise Refusal(
                400, f"{path}: its Git LFS object {sha256} ({length} bytes) has not been uploaded"
            )
        self._write(path, pointer(sha256, length))
        self._pointed.append(path)

    def remove(self, path: str, *, folder: bool = False) -> None:
        self._changes.append((_checked(path.rstrip("/")), None, folder))

    def _write(self, path: str, data: bytes) -> None:
        file = Path(self._folder.name, str(len(self._changes)))
        file.write_bytes(data)
        self._changes.append((_checked(path), file, False))

    def _track(self, repository: Repository, head: str | None) -> None:
        sent = [file for path, file, _ in self._changes if path == ATTRIBUTES and file]
        before = sent[-1].read_bytes() if sent else self._hub.attributes(repository, head)
        after = attributes.with_paths(before, self._pointed)
        if after != before:
            self._write(ATTRIBUTES, after)

    def _judge_card(self) -> None:
        """
        Raises:
            Refusal: 400, README.md has metadata that hubs do not take.
        """
        for path, file, _ in self._changes:
            if path == CARD and file:
                errors, _ = card.problems(file.read_bytes().decode(errors="replace"))
                if errors:
                    listed = "".join(f"\n- {error}" for error in errors)
                    raise Refusal(400, f"Invalid metadata in {CARD}.{listed}")

    def commit(
        self,
        repository: Repository,
        revision: str,
        message: str,
        author: str,
        *,
        parent: str | None = None,
        onto: str | None = None,
    ) -> str:
        """The new commit's id; see `Hub.commit`. Large files that .gitattributes does not track are
        added to it.

        Raises:
            Refusal: 400, hubs do not take the card's metadata; else as `Hub.commit`.
        """
        self._judge_card()
        self._track(repository, onto or self._hub.head(repository, revision))
        written = iter(
            self._hub.git(repository).write_blobs([file for _, file, _ in self._changes if file])
        )
        changes = [
            Change(path, next(written) if file else "", folder)
            for path, file, folder in self._changes
        ]
        return self._hub.commit(
            repository, revision, message, author, changes, parent=parent, onto=onto
        )


def _checked(path: str) -> str:
    parts = path.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts) or any(
        ord(c) < 32 for c in path
    ):
        raise Refusal(400, f"{path!r} cannot be a file's path")
    return path
