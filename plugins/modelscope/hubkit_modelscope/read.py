"""Reading a repository back: names, sizes and digests, and a fresh download."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from hubkit.sdk import RemoteError, RemoteFile
from hubkit.sdk.hubs import AGAIN, longer_than, no_revision, promised, whole
from hubkit.sdk.transfer import CHUNK

from .session import MODEL, Listed, Session

_BARS = threading.Lock()
_SMALL = 10 * 1024 * 1024


def files(session: Session, revision: str) -> tuple[RemoteFile, ...]:
    """What is listed at the revision; small files without a digest are fetched and hashed."""
    listed = listing(session, revision)
    return tuple(
        sorted(
            (known(session, one, revision) for one in listed.values()), key=lambda file: file.path
        )
    )


def listing(session: Session, revision: str) -> dict[str, Listed]:
    """
    Raises:
        UsageError: there is no such repository or revision.
    """
    from modelscope_hub.errors import NotExistError

    try:
        return session.listing(revision or session.options.branch)
    except NotExistError:
        raise no_revision(session.place, revision, repository=session.info() is not None) from None


def known(session: Session, listed: Listed, revision: str) -> RemoteFile:
    """The file with its digest, where that can be had without a large download."""
    file = listed.file
    if file.sha256 or file.size > _SMALL:
        return file
    session.run.check_cancelled()
    with session.api.legacy.download_stream(
        session.repository, MODEL, file.path, revision or session.options.branch
    ) as answer:
        sha, size = hashlib.sha256(), 0
        place = f"{session.place}: {file.path}"
        for chunk in promised(answer.iter_content(CHUNK), file.size, place):
            sha.update(chunk)
            size += len(chunk)
    if size != file.size:
        raise RemoteError(
            f"{session.place}: {file.path}: the hub lists {file.size} bytes and gives {size}", AGAIN
        )
    return RemoteFile(file.path, size, sha.hexdigest())


def download(session: Session, revision: str, out: Path) -> None:
    """The client's own download_repo."""
    with whole(out) as folder:
        listed = listing(session, revision)
        try:
            with _without_bars():
                session.api.download_repo(
                    session.repository,
                    MODEL,
                    revision=revision or session.options.branch,
                    local_dir=folder,
                    progress_callbacks=[_promises(session, listed)],
                )
        except _Longer as longer:
            raise longer.error from None
        for left in (".mdl", ".msc", "._____temp"):  # what the client keeps beside the files
            path = folder / left
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


class _Longer(BaseException):
    """Not an Exception: the client would try such a file again, five times in 30 seconds."""

    def __init__(self, error: RemoteError) -> None:
        super().__init__(error.message)
        self.error = error


def _promises(session: Session, listed: dict[str, Listed]) -> type[Any]:
    """Ends the download of a file that is longer than listed: the client asks for a listing of its
    own, and takes a file without a size there as long as it comes."""
    from modelscope_hub import ProgressCallback

    class Promise(ProgressCallback):
        def __init__(self, filename: str, file_size: int) -> None:
            super().__init__(filename, file_size)
            self._size = listed[filename].file.size if filename in listed else 0
            self._left = self._size

        def update(self, size: int) -> None:
            self._left -= size
            if self._left < 0:
                raise _Longer(longer_than(self._size, f"{session.place}: {self.filename}"))

    return Promise


@contextmanager
def _without_bars() -> Iterator[None]:
    """modelscope_hub 0.5 has no switch for the bars of a download."""
    module: Any = import_module("modelscope_hub._download")
    with _BARS:
        shown = module.tqdm
        module.tqdm = partial(shown, disable=True)
        try:
            yield
        finally:
            module.tqdm = shown
