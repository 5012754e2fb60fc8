"""The hub on this machine: a release rehearsed at it, or the hub alone."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..packaging import manifest
from ..publishing.verify import download_compared
from ..rehearsal.command import serve_until_interrupted, token_from
from ..reporting import SilentReporter
from ..sdk import PublishReceipt, Run
from ..sdk.excerpt import did_you_mean
from ..sdk.testing.cases import REHEARSAL_TOKEN
from .hubs import hub_options, push, verify

__all__ = ["REHEARSAL_TOKEN", "Rehearsed", "rehearse", "serve_until_interrupted", "token_from"]

_ORGANISATION = "rehearsal"
Folder = str | Path


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
    """Publishes a tracked folder to a local hub over each protocol, with the same plugins and
    clients, reads it back, downloads it afresh and compares every digest. The hub runs until the
    block ends; so long the environment variable HUBKIT_REHEARSAL_TOKEN has the token that shows its
    pages.

    Raises:
        RemoteError: what came back is not what was published.
    """
    from ..rehearsal import serve

    run, source = reporter or SilentReporter(), Path(folder)
    listed = manifest.read(source)
    name = listed.name.rpartition("/")[2]
    with (
        tempfile.TemporaryDirectory(prefix="hubkit-rehearsal-") as temporary,
        _token() as token,
        serve(Path(data or Path(temporary) / "hub"), port=port, token=token) as hub,
    ):
        places = [_place(scheme, name, hub) for scheme in schemes]
        options: dict[str, Any] = {"token_env": REHEARSAL_TOKEN}
        for one in ("huggingface", "modelscope"):
            options |= {f"{one}.endpoint": hub.url, f"{one}.patience": 20.0}
        published = push(source, places, options=options, reporter=run)
        done: list[Rehearsed] = []
        for to, receipt in zip(places, published.receipts, strict=True):
            checked = verify(source, to, revision=receipt.revision, options=options, reporter=run)
            fresh = Path(temporary) / f"fresh-{len(done)}"
            download_compared(listed, to, receipt.revision, hub_options(to, options), fresh, run)
            done.append(Rehearsed(to, receipt, checked.files, f"{hub.url}/{receipt.repository}"))
        yield tuple(done)


@contextmanager
def _token() -> Iterator[str]:
    """A token for this rehearsal only, in the environment of this process while it lasts."""
    os.environ[REHEARSAL_TOKEN] = token = secrets.token_urlsafe(24)
    try:
        yield token
    finally:
        del os.environ[REHEARSAL_TOKEN]


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
            f"there is no rehearsal of {scheme!r}{did_you_mean(scheme, (*hubs, 'git'))}",
            "choose from huggingface, modelscope, git",
        )
    repository = f"{_ORGANISATION}/{name}-git"
    _make(hub, repository)
    return f"git:{hub.git_url(repository)}"


def _make(hub: Any, repository: str) -> None:
    """Git pushes to a repository that is there; a hub over kept data may have it already."""
    from ..rehearsal.refusal import Refusal

    try:
        hub.hub.create(repository, hub.hub.tokens.user(hub.token), private=True)
    except Refusal as refusal:
        if refusal.status != 409:
            raise
