"""What is done with a release once it is, or is to be, on hubs: compare, undo, who is logged in,
rehearse.

Functions of the Python API beside `push` and `verify`; the command line calls these.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .api import hub_options, push, verify
from .errors import UsageError
from .packaging import manifest
from .packaging.compare import Comparison, compare
from .registry import plugins
from .reporting import SilentReporter
from .sdk import Login, PublishReceipt, ReleaseFile, RemoteFile, Run, Withdrawal
from .sdk.testing.cases import REHEARSAL_TOKEN as _TOKEN
from .stages.publish import read_receipt
from .stages.verify import download_compared

Folder = str | Path
_ORGANISATION = "rehearsal"


def diff(
    a: Folder, b: Folder, *, options: Mapping[str, Any] | None = None, reporter: Run | None = None
) -> Comparison:
    """Names, sizes and digests of `a` against `b`, each a release folder or
    `scheme:target[@revision]`; the default revision is the hub's default branch. `missing` is only
    in `a`, `extra` only in `b`."""
    run, given = reporter or SilentReporter(), options or {}
    theirs = [RemoteFile(file.path, file.size, file.sha256) for file in _files(b, given, run)]
    return compare(_files(a, given, run), theirs)


def _files(where: Folder, options: Mapping[str, Any], run: Run) -> tuple[ReleaseFile, ...]:
    if Path(where).is_dir():
        return manifest.published_files(Path(where))
    to, _, revision = (
        str(where).rpartition("@") if "@" in str(where).rpartition("/")[2] else (str(where), "", "")
    )
    hub, target = plugins().hub_of(to)
    found = hub.files(target, revision, hub_options(to, options), run)
    return tuple(ReleaseFile(file.path, file.size, file.sha256, False) for file in found)


def withdraw(
    folder: Folder,
    to: str,
    *,
    options: Mapping[str, Any] | None = None,
    reporter: Run | None = None,
) -> Withdrawal:
    """Undoes the push of a folder to `scheme:target` as far as the hub goes; what stays public is
    in `remains`.

    Raises:
        UsageError: the folder has no receipt of that push; pushing again, which changes nothing,
            writes one.
    """
    hub, target = plugins().hub_of(to)
    receipt = read_receipt(journals(Path(folder)), hub.name, to)
    done: Withdrawal = hub.withdraw(
        target, receipt, hub_options(to, options or {}), reporter or SilentReporter()
    )
    return done


def journals(folder: Path) -> Path:
    """Where the pushes of a folder are journaled: with a release's own run, or in the folder's git
    repository."""
    of_release = folder.resolve().parent.parent / "journal"
    return of_release if of_release.is_dir() else folder / ".git" / "hubkit-journal"


def login_status(options: Mapping[str, Any] | None = None) -> dict[str, Login]:
    """Who one is at each hub, and where the credentials come from; never what they are."""
    found = {}
    for name, hub in plugins().of("hub").items():
        own = {
            key.partition(".")[2]: value
            for key, value in (options or {}).items()
            if key.partition(".")[0] == name
        }
        found[name] = hub.login(own)
    return found


@dataclass(frozen=True)
class Rehearsed:
    """`page` is the repository's web page at the rehearsal hub, while that runs."""

    to: str
    receipt: PublishReceipt
    files: int
    page: str


@contextmanager
def rehearse(
    folder: Folder,
    *,
    data: Folder | None = None,
    port: int = 0,
    schemes: Sequence[str] = ("huggingface", "modelscope", "git"),
    reporter: Run | None = None,
) -> Iterator[tuple[Rehearsed, ...]]:
    """Publishes a tracked folder to a local hub over each protocol, with the very same plugins and
    clients, reads it back, downloads it afresh and compares every digest. The hub runs until the
    block ends.

    Raises:
        RemoteError: what came back is not what was published.
    """
    from .rehearsal import serve

    run, source = reporter or SilentReporter(), Path(folder)
    name = manifest.read(source).name.rpartition("/")[2]
    with (
        tempfile.TemporaryDirectory(prefix="hubkit-rehearsal-") as temporary,
        _token() as token,
        serve(Path(data or Path(temporary) / "hub"), port=port, token=token) as hub,
    ):
        places = [_place(scheme, name, hub) for scheme in schemes]
        options: dict[str, Any] = {"token_env": _TOKEN}
        for one in ("huggingface", "modelscope"):
            options |= {f"{one}.endpoint": hub.url, f"{one}.patience": 20.0}
        published = push(source, places, options=options, reporter=run)
        done: list[Rehearsed] = []
        for to, receipt in zip(places, published.receipts, strict=True):
            checked = verify(source, to, revision=receipt.revision, options=options, reporter=run)
            fresh = Path(temporary) / f"fresh-{len(done)}"
            download_compared(source, to, receipt.revision, hub_options(to, options), fresh, run)
            done.append(Rehearsed(to, receipt, checked.files, f"{hub.url}/{receipt.repository}"))
        yield tuple(done)


@contextmanager
def _token() -> Iterator[str]:
    """A token for this rehearsal only, in the environment of this process while it lasts."""
    os.environ[_TOKEN] = token = secrets.token_urlsafe(24)
    try:
        yield token
    finally:
        del os.environ[_TOKEN]


def _place(scheme: str, name: str, hub: Any) -> str:
    """A repository of its own for each protocol, so that each is published in full."""
    hubs = {
        "huggingface": f"huggingface:{_ORGANISATION}/{name}",
        "modelscope": f"modelscope:{_ORGANISATION}/{name}-ModelScope",
    }
    if scheme in hubs:
        return hubs[scheme]
    if scheme != "git":
        raise UsageError(
            f"there is no rehearsal of {scheme!r}", "choose of huggingface, modelscope, git"
        )
    repository = f"{_ORGANISATION}/{name}-git"
    _make(hub, repository)
    return f"git:{hub.git_url(repository)}"


def _make(hub: Any, repository: str) -> None:
    """Git pushes to a repository that is there; a hub over kept data may have it already."""
    from .rehearsal._refusal import Refusal

    try:
        hub.hub.create(repository, hub.hub.tokens.user(hub.token), private=True)
    except Refusal as refusal:
        if refusal.status != 409:
            raise
