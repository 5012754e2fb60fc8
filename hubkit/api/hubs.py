"""What can be done at hubs: push, verify, compare, withdraw, and who is logged in."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..environments import Environment, EnvironmentLike
from ..inference.questions import Questioning
from ..inference.smoke import PROMPTS, drawn_picture, picture_record
from ..packaging import manifest
from ..pipeline.spec.publishing import Upload
from ..publishing.comparison import Comparison, ListedFile, compare
from ..publishing.publish import Published, note_withdrawal, publish, read_receipt
from ..publishing.verify import VerifiedTarget, verify_download
from ..publishing.verify import verify as compare_with_hub
from ..registry.plugins import plugins
from ..reporting import SilentReporter
from ..sdk import Login, Run, Withdrawal

__all__ = ["Upload", "diff", "hub_options", "login_status", "push", "verify", "withdraw"]

LOGIN_SECONDS = 10.0
Folder = str | Path


def push(
    folder: Folder,
    to: str | Sequence[str],
    *,
    options: Mapping[str, Any] | None = None,
    upload: Upload | None = None,
    reporter: Run | None = None,
) -> Published:
    """Pushes a tracked folder to each `scheme:target`, several at once; safe to repeat. An option
    `hub.key` is for the targets of that hub only. The steps are journaled in
    `folder/.git/hubkit-journal`."""
    targets = [to] if isinstance(to, str) else list(to)
    source, listed = Path(folder), manifest.read(Path(folder))
    destinations = [(target, hub_options(target, options or {})) for target in targets]
    limits, run = (upload or Upload()).limits(), reporter or SilentReporter()
    return publish(source, listed, destinations, run, limits=limits)


def hub_options(to: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options for the hub of one `scheme:target`: those without a dot, and those of the form
    `hub.key` with its name."""
    name = plugins().hub_of(to)[0].name
    general = {key: value for key, value in options.items() if "." not in key}
    return general | {
        key.partition(".")[2]: value
        for key, value in options.items()
        if key.partition(".")[0] == name and "." in key
    }


def verify(
    folder: Folder,
    at: str,
    *,
    revision: str = "",
    deep: bool = False,
    options: Mapping[str, Any] | None = None,
    engine: str = "transformers",
    environment: EnvironmentLike = "current",
    reporter: Run | None = None,
) -> VerifiedTarget:
    """Compares what a hub has with the folder's manifest: at the release's tag and on its branch,
    or only at `revision`. `deep` downloads it afresh, hashes every byte, checks the structure and
    asks the model.

    Raises:
        RemoteError: names every file that is missing, extra or different.
    """
    listed, run = manifest.read(Path(folder)), reporter or SilentReporter()
    at_revision, given = revision or listed.tag, hub_options(at, options or {})
    found = compare_with_hub(listed, at, at_revision, given, run, branch=not revision)
    if not deep:
        return found
    with tempfile.TemporaryDirectory(prefix="hubkit-verify-") as temporary:
        work = Path(temporary)
        records = [picture_record(drawn_picture(work / "drawn.png"), PROMPTS)]
        where = Environment.parse(environment)
        questioning = Questioning(engine, where, {}, 64, records, Path("/"))
        return verify_download(listed, at, at_revision, given, questioning, work, run)


def diff(
    a: Folder, b: Folder, *, options: Mapping[str, Any] | None = None, reporter: Run | None = None
) -> Comparison:
    """Names, sizes and digests of `a` against `b`, each a release folder or
    `scheme:target[@revision]`; the default revision is the hub's default branch. `missing` is only
    in `a`, `extra` only in `b`."""
    run, given = reporter or SilentReporter(), options or {}
    return compare(_files(a, given, run), _files(b, given, run))


def _files(where: Folder, options: Mapping[str, Any], run: Run) -> Sequence[ListedFile]:
    if Path(where).is_dir():
        return manifest.read(Path(where)).released()
    to, _, revision = (
        str(where).rpartition("@") if "@" in str(where).rpartition("/")[2] else (str(where), "", "")
    )
    hub, target = plugins().hub_of(to)
    found: Sequence[ListedFile] = hub.files(target, revision, hub_options(to, options), run)
    return found


def withdraw(
    folder: Folder,
    to: str,
    *,
    options: Mapping[str, Any] | None = None,
    reporter: Run | None = None,
) -> Withdrawal:
    """Undoes the push of a folder to `scheme:target` as far as the hub allows; what stays public is
    in `remains`.

    Raises:
        UsageError: the folder has no receipt of that push; pushing again, which changes nothing,
            writes one.
    """
    hub, target = plugins().hub_of(to)
    receipt = read_receipt(Path(folder), to)
    done: Withdrawal = hub.withdraw(
        target, receipt, hub_options(to, options or {}), reporter or SilentReporter()
    )
    note_withdrawal(Path(folder), to)
    return done


def login_status(options: Mapping[str, Any] | None = None) -> dict[str, Login]:
    """Who you are at each hub, and where the credentials come from; never the credentials. A hub
    that does not answer within 10 seconds is `unknown`."""
    asked = {name: _Asked(hub, options or {}) for name, hub in plugins().of("hub").items()}
    end = time.monotonic() + LOGIN_SECONDS
    return {name: one.answer(end) for name, one in asked.items()}


class _Asked:
    """A hub's answer to who is logged in, waited for in a thread that ends with the process."""

    def __init__(self, hub: Any, options: Mapping[str, Any]) -> None:
        own = {
            key.partition(".")[2]: value
            for key, value in options.items()
            if key.partition(".")[0] == hub.name
        }
        self._found: list[Login] = []
        self._error: list[BaseException] = []

        def ask() -> None:
            try:
                self._found.append(hub.login(own))
            except BaseException as error:
                self._error.append(error)

        self._thread = threading.Thread(target=ask, daemon=True)
        self._thread.start()

    def answer(self, end: float) -> Login:
        self._thread.join(max(0.0, end - time.monotonic()))
        if self._error:
            raise self._error[0]
        if self._found:
            return self._found[0]
        told = f"it did not answer in {LOGIN_SECONDS:.0f} s"
        return Login("unknown", "", told, "check the address and the network, then ask again")
