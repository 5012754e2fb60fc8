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

from hubkit.sdk import EnvironmentFailure, RemoteError, RemoteFile, UsageError
from hubkit.sdk.transfer import CHUNK

from .explain import AGAIN
from .session import MODEL, Listed, Session

_BARS = threading.Lock()
_SMALL = 10 * 1024 * 1024


def files(session: Session, revision: str) -> tuple[RemoteFile, ...]:
    """What is listed at the revision; small files without a digest are fetched and hashed."""
    listed = listing(session, revision)
    return tuple(sorted((known(session, one, revision) for one in listed.values()), key=lambda file: file.path))


def listing(session: Session, revision: str) -> dict[str, Listed]:
    """
    Raises:
        UsageError: there is no such repository or revision.
    """
    from modelscope_hub.errors import NotExistError

    try:
        return session.listing(revision or session.options.branch)
    except NotExistError:
        what = f"revision {revision!r}" if session.info() is not None else "repository, or none that this token may see"
        raise UsageError(f"{session.place} has no {what}", "correct the name, or publish first") from None


def known(session: Session, listed: Listed, revision: str) -> RemoteFile:
    """The file with its digest, where that can be had without a large download."""
    file = listed.file
    if file.sha256 or file.size > _SMALL:
        return file
    session.run.check_cancelled()
    with session.api.legacy.download_stream(session.repository, MODEL, file.path, revision or session.options.branch) as answer:
        sha, size = hashlib.sha256(), 0
        for chunk in answer.iter_content(CHUNK):
            sha.update(chunk)
            size += len(chunk)
    if size != file.size:
        raise RemoteError(f"{session.place}: {file.path}: the hub lists {file.size} bytes and gives {size}", AGAIN)
    return RemoteFile(file.path, size, sha.hexdigest())


def download(session: Session, revision: str, out: Path) -> None:
    """The client's own download_repo beside `out`, then renamed: `out` is whole or not there."""
    if out.exists():
        raise UsageError(f"{out} exists", "name a folder that does not exist yet")
    listing(session, revision)
    partial_folder = out.with_name(f".{out.name}.hubkit-partial")
    shutil.rmtree(partial_folder, ignore_errors=True)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with _without_bars():
            session.api.download_repo(
                session.repository, MODEL, revision=revision or session.options.branch, local_dir=partial_folder
            )
        for left in (".mdl", ".msc", "._____temp"):  # what the client keeps beside the files
            path = partial_folder / left
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        partial_folder.rename(out)
    except OSError as error:
        if error.errno is None:  # the client's network errors are OSErrors too
            raise
        raise EnvironmentFailure(f"{out}: {error.strerror}", "free some space or choose another folder, then run again") from None
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)


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
