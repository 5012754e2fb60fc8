"""Publishing: one commit with everything that changed, read back, then one tag. Whatever is there
already is not sent again.

Large files go first and show nowhere; the commit makes the whole release visible at once. A release
is recognised by its content: the manifest in it names release and tag, so that no two releases are
alike.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hubkit.sdk import PublishInput, ReleaseFile, RemoteError, UsageError
from hubkit.sdk.hubs import (
    AGAIN,
    MANIFEST,
    another_release,
    content,
    refuse_strangers,
    still_shown,
)
from hubkit.sdk.transfer import Body, Meter

from .options import MASTER
from .prepare import judge_visibility, prepare
from .read import known
from .session import MODEL, Listed, Session

CONFIGURATION = "configuration.json"
_BATCH = 100
_INLINE = frozenset({"readme.md", ".gitattributes", ".gitignore", CONFIGURATION, "config.json"})


def publish(session: Session, job: PublishInput) -> str:
    """The id of the commit that holds the release; its tag where the hub does not tell commits.

    Raises:
        UsageError: the release lacks configuration.json, or the branch is not there.
        RefusedError: another release has this tag, or the branch holds files that are no release.
        RemoteError: the hub failed; running again continues.
    """
    _check_files(job)
    prepare(session, job)
    branch = session.options.branch
    tagged, listed = _tagged(session, job), session.listing(branch)
    if tagged is not None and _moved_on(session, job, listed):
        return _commit_of(tagged, job)
    if not _is_there(session, job, listed):
        listed = _send(session, job, listed)
    _read_back(session, job, listed)
    if branch == MASTER and tagged is None:
        _tag(session, job)
    elif branch != MASTER:
        session.run.note(
            f"{session.place}: ModelScope tags only {MASTER}; the release on {branch} has no tag"
        )
    return _commit_of(listed, job)


def foresee(session: Session, job: PublishInput) -> None:
    """
    Raises:
        UsageError, RefusedError: as `publish`.
    """
    _check_files(job)
    if (info := session.info()) is None:
        return
    judge_visibility(session, info)
    branch, tagged = session.options.branch, _tagged(session, job)
    listed = session.listing(branch) if branch in session.branches() else {}
    if listed and not (tagged is not None and _moved_on(session, job, listed)):
        _is_there(session, job, listed)


def _check_files(job: PublishInput) -> None:
    if not any(file.path == CONFIGURATION for file in job.files):
        raise UsageError(
            f"the release has no {CONFIGURATION}, which ModelScope needs",
            "package the release again",
        )


def _tagged(session: Session, job: PublishInput) -> dict[str, Listed] | None:
    """What is under the release's tag: the release.

    Raises:
        RefusedError: the tag names another one.
    """
    if job.tag not in session.tags():
        return None
    listed = session.listing(job.tag)
    if not is_release(session, job, listed, job.tag):
        raise another_release(session.place, job.tag)
    return listed


def _moved_on(session: Session, job: PublishInput, listed: Mapping[str, Listed]) -> bool:
    """Whether the branch shows a later release, or this one with a page that was edited since."""
    paths = [file.path for file in job.files]
    wrong = [file.path for file in differing(session, job, listed, session.options.branch)]
    same = not wrong and listed.keys() == set(paths)
    return not same and still_shown(paths, listed, wrong)


def _is_there(session: Session, job: PublishInput, listed: Mapping[str, Listed]) -> bool:
    """Whether the branch holds the release already.

    Raises:
        RefusedError: it holds files of somebody else.
    """
    branch = session.options.branch
    if is_release(session, job, listed, branch):
        return True
    refuse_strangers(
        session.place,
        branch,
        listed,
        is_release=MANIFEST in listed,
        replace=session.options.replace,
    )
    return False


def is_release(
    session: Session, job: PublishInput, listed: Mapping[str, Listed], revision: str
) -> bool:
    paths = {file.path for file in job.files}
    return listed.keys() == paths and not differing(session, job, listed, revision)


def differing(
    session: Session, job: PublishInput, listed: Mapping[str, Listed], revision: str
) -> list[ReleaseFile]:
    """The release's files that the hub lacks or has otherwise."""

    def same(file: ReleaseFile) -> bool:
        there = listed.get(file.path)
        return (
            there is not None
            and there.file.size == file.size
            and known(session, there, revision).sha256 == file.sha256
        )

    return [file for file in job.files if not same(file)]


def _send(session: Session, job: PublishInput, listed: Mapping[str, Listed]) -> dict[str, Listed]:
    branch = session.options.branch
    changed = differing(session, job, listed, branch)
    gone = sorted(listed.keys() - {file.path for file in job.files})
    session.run.note(
        f"{session.place}: {len(changed)} of {len(job.files)} files to send, {len(gone)} to delete"
    )
    large = [file for file in changed if _is_large(file)]
    with session.journal.step("upload", files=[file.path for file in large]):
        try:
            session.with_fresh_links(lambda: _upload(session, job, large), _is_stale)
        except Exception as error:
            raise session.explained(error) from None
    actions = [_action(job, file) for file in changed] + [deletion(path) for path in gone]

    def commit() -> None:
        session.api.legacy.create_commit(
            session.repository,
            MODEL,
            actions,
            session.options.message or job.message,
            revision=branch,
        )

    def landed() -> dict[str, Listed] | None:
        now = session.listing(branch)
        return now if is_release(session, job, now, branch) else None

    return session.change(
        "commit", commit, landed, send=[file.path for file in changed], delete=gone
    )


def _is_stale(error: BaseException) -> bool:
    """A signed link that is not valid any more, by the answer to its use."""
    request = getattr(getattr(error, "response", None), "request", None)
    return getattr(error, "status_code", None) == 403 and (
        request is None or request.method == "PUT"
    )


def _is_large(file: ReleaseFile) -> bool:
    """As in the manifest, so that .gitattributes stays as released; the files that ModelScope
    itself reads are never pointers."""
    return file.lfs and Path(file.path).name.lower() not in _INLINE


def _upload(session: Session, job: PublishInput, large: list[ReleaseFile]) -> None:
    """Sends what the hub's storage lacks, by the digests of the manifest; a file is read once,
    while it is sent."""
    wanted = {file.sha256: file for file in large}
    addresses: dict[str, str] = {}
    oids = sorted(wanted)
    for start in range(0, len(oids), _BATCH):
        objects = [{"oid": oid, "size": wanted[oid].size} for oid in oids[start : start + _BATCH]]
        answer = session.api.legacy.validate_blobs(session.repository, MODEL, objects)
        addresses.update(
            {oid: address for oid, address in answer.items() if address and oid in wanted}
        )
    meter = Meter(session.run, sum(wanted[oid].size for oid in addresses), job.pace)

    def put(oid: str) -> None:
        file = wanted[oid]
        with (job.folder / file.path).open("rb") as stream:
            timeout = (min(session.options.timeout, 30), session.options.timeout)
            session.api.legacy.upload_blob(
                addresses[oid], Body(stream, meter), file.size, timeout=timeout
            )

    with ThreadPoolExecutor(max(1, job.pace.connections)) as pool:
        list(pool.map(put, addresses))
    meter.enough()


def _action(job: PublishInput, file: ReleaseFile) -> dict[str, Any]:
    action = {"action": "create", "path": file.path, "size": file.size}
    if _is_large(file):
        return {**action, "type": "lfs", "sha256": file.sha256, "content": "", "encoding": ""}
    return {
        **action,
        "type": "normal",
        "sha256": "",
        "content": base64.b64encode(content(job, file)).decode(),
        "encoding": "base64",
    }


def deletion(path: str) -> dict[str, Any]:
    return {
        "action": "delete",
        "path": path,
        "type": "normal",
        "size": 0,
        "sha256": "",
        "content": "",
        "encoding": "",
    }


def _read_back(session: Session, job: PublishInput, listed: Mapping[str, Listed]) -> None:
    wrong = [file.path for file in differing(session, job, listed, session.options.branch)]
    wrong += sorted(listed.keys() - {file.path for file in job.files})
    if wrong:
        told = (
            f"{session.options.branch} has other bytes than the release and is not tagged: "
            f"{', '.join(wrong)}"
        )
        raise RemoteError(f"{session.place}: {told}", AGAIN)


def _tag(session: Session, job: PublishInput) -> None:
    def act() -> None:
        session.api.create_repo_tag(session.repository, MODEL, job.tag, revision=MASTER)

    session.change("tag", act, lambda: True if job.tag in session.tags() else None, tag=job.tag)
    if not is_release(session, job, session.listing(job.tag), job.tag):
        raise RemoteError(
            f"{session.place}: {MASTER} was changed by somebody else before it was tagged, "
            f"{job.tag} is not this release",
            "delete the tag on the repository's page, then run again",
        )


def _commit_of(listed: Mapping[str, Listed], job: PublishInput) -> str:
    """Every release has another manifest.json: the commit that last changed it is the release's
    own."""
    return (
        listed[MANIFEST].revision if MANIFEST in listed and listed[MANIFEST].revision else job.tag
    )
