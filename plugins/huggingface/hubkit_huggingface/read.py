"""Reading a repository back: names, sizes and digests, and a fresh download."""

from __future__ import annotations

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hubkit.sdk import RemoteError, RemoteFile
from hubkit.sdk.hubs import AGAIN, no_revision, whole

from .session import Session

_THREADS = 4


def resolve(session: Session, revision: str) -> str:
    """The commit id of a revision; of the default branch for "".

    Raises:
        UsageError: there is none such.
    """
    info = session.info(revision)
    if info is None:
        raise no_revision(session.place, revision, repository=session.info() is not None)
    return str(info.sha)


def files(session: Session, revision: str) -> tuple[RemoteFile, ...]:
    """Large files by the digest that the hub keeps; the others are fetched and hashed, and their
    git ids checked beside."""
    commit = resolve(session, revision)
    tree = session.tree(commit)
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(lambda entry: _file(session, commit, entry), tree.values()))
    return tuple(sorted(found, key=lambda file: file.path))


def _file(session: Session, commit: str, entry: Any) -> RemoteFile:
    if entry.lfs is not None:
        return RemoteFile(entry.path, entry.lfs.size, entry.lfs.sha256)
    session.run.check_cancelled()
    content = fetch(session, commit, entry.path, entry.size)
    if git_blob(content) != entry.blob_id:
        raise RemoteError(
            f"{session.place}: {entry.path} is not the git object that the hub lists", AGAIN
        )
    return RemoteFile(entry.path, len(content), hashlib.sha256(content).hexdigest())


def fetch(session: Session, commit: str, path: str, size: int) -> bytes:
    """A small file's bytes, never from the client's cache. Raises RemoteError when it is not as
    long as listed."""
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils._http import hf_raise_for_status

    url = hf_hub_url(session.repository, path, revision=commit, endpoint=session.api.endpoint)
    response = get_session().get(url, headers=session.api._build_hf_headers())
    hf_raise_for_status(response)
    if len(response.content) != size:
        said = f"the hub lists {size} bytes and gives {len(response.content)}"
        raise RemoteError(f"{session.place}: {path}: {said}", AGAIN)
    return bytes(response.content)


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def download(session: Session, revision: str, out: Path) -> None:
    """The client's own snapshot_download."""
    with whole(out) as folder:
        commit = resolve(session, revision)
        session.terms.bounds.sizes = {
            path: entry.size for path, entry in session.tree(commit).items()
        }
        session.api.snapshot_download(
            session.repository,
            revision=commit,
            local_dir=folder,
            max_workers=_THREADS,
            etag_timeout=session.options.timeout,
        )
        cache = folder / ".cache"
        shutil.rmtree(cache / "huggingface", ignore_errors=True)
        if cache.is_dir() and not any(cache.iterdir()):
            cache.rmdir()
