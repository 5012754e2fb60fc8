"""The life of a hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..codec import decode, encode
from ..errors import HubkitError, RefusedError, UsageError
from ..hub import Hub, Login, PublishInput, PublishReceipt, RemoteFile, Withdrawal
from ._base import WatchedRun, check_cancels, check_contract, check_travels, digests, require


def check_hub(
    plugin: Hub,
    job: PublishInput,
    scratch: Path,
    *,
    other: PublishInput | None = None,
    bad_target: str = "",
    whole: bool = False,
) -> PublishReceipt:
    """Publishes `job`, lists and downloads it, compares digests, publishes again.

    `other` is another release under the same tag and target, which must be refused; `bad_target`
    one the hub does not understand. `scratch` is an empty folder for downloads. With `whole`, a
    first publish is interrupted, the default branch must show the release, a revision that is not
    there be refused, and the release is withdrawn at the end, twice, and published again. Returns
    the last receipt.
    """
    check_contract(plugin, "hub")
    decode(plugin.Options, job.options, f"options of hub {plugin.name}")
    require(plugin.repository(job.target), f"`repository` has no name for {job.target!r}")
    found = plugin.check(job.target, job.options)
    require(not found, f"`check` finds the target unfit before the first publish: {encode(found)}")
    _check_login(plugin, job)
    _examine(plugin, job)
    if whole:
        job = replace(job, journal=scratch.with_name(f"{scratch.name}-journal.jsonl"))
        check_cancels(lambda run: plugin.publish(job, run), "`publish`", after=0)

    receipt = _publish(plugin, job)
    for revision in (receipt.revision, job.tag):
        _check_listing(job, plugin.files(job.target, revision, job.options, WatchedRun()), revision)
        _check_download(
            plugin, job, revision, scratch / f"download-{revision[:12].replace('/', '-')}"
        )

    again = _publish(plugin, job)
    require(
        again == receipt,
        f"publishing the same release again gave another receipt: {again} after {receipt}",
    )
    _examine(plugin, job)
    if other is not None:
        _check_refuses_other(plugin, other)
        _check_listing(job, plugin.files(job.target, job.tag, job.options, WatchedRun()), job.tag)
    if bad_target:
        _check_refuses_target(plugin, bad_target)
    if whole:
        _check_listing(
            job, plugin.files(job.target, "", job.options, WatchedRun()), "the default branch"
        )
        _check_refuses_revision(plugin, job)
        _check_withdraws(plugin, job, receipt)
        receipt = _publish(plugin, job)
        for revision, where in ((job.tag, "its tag"), ("", "the default branch")):
            listed = plugin.files(job.target, revision, job.options, WatchedRun())
            _check_listing(job, listed, f"{where} after it was withdrawn and published again")
    return receipt


def _check_login(plugin: Hub, job: PublishInput) -> None:
    login = plugin.login(job.options)
    check_travels(login, Login)
    good = bool(login.source) and (login.state == "ok") == (not login.remedy)
    require(
        good,
        "`login` must say where the credentials come from, and a remedy unless the state is ok: "
        f"{encode(login)}",
    )


def _check_withdraws(plugin: Hub, job: PublishInput, receipt: PublishReceipt) -> None:
    first, again = (
        plugin.withdraw(job.target, receipt, job.options, WatchedRun()) for _ in range(2)
    )
    for withdrawal in (first, again):
        check_travels(withdrawal, Withdrawal)
    require(all(first.done + first.remains), f"`withdraw` gave an empty sentence: {encode(first)}")
    require(first.done or first.remains, "`withdraw` says neither what it undid nor what remains")


def _publish(plugin: Hub, job: PublishInput) -> PublishReceipt:
    before = digests(job.folder)
    receipt = plugin.publish(job, WatchedRun())
    check_travels(receipt, PublishReceipt)
    expected = {
        "hub": plugin.name,
        "target": job.target,
        "repository": plugin.repository(job.target),
        "tag": job.tag,
    }
    for field, value in expected.items():
        require(
            getattr(receipt, field) == value,
            f"the receipt's `{field}` is {getattr(receipt, field)!r}, expected {value!r}",
        )
    require(receipt.revision and receipt.url, f"the receipt lacks a revision or a url: {receipt}")
    require(digests(job.folder) == before, "`publish` changed the release folder")
    return receipt


def _check_listing(job: PublishInput, listed: tuple[RemoteFile, ...], revision: str) -> None:
    expected = {file.path: file for file in job.files}
    paths = [file.path for file in listed]
    difference = sorted(set(paths) ^ set(expected))
    require(
        len(set(paths)) == len(paths) and not difference,
        f"`files` at {revision} and the release differ in {difference}",
    )
    for file in listed:
        release = expected[file.path]
        require(
            file.size == release.size,
            f"{file.path} has {file.size} bytes at {revision}, the release {release.size}",
        )
        same = file.sha256 in ("", release.sha256)
        require(
            same,
            f"{file.path} has sha256 {file.sha256} at {revision}, the release {release.sha256}",
        )


def _check_download(plugin: Hub, job: PublishInput, revision: str, out: Path) -> None:
    plugin.download(job.target, revision, out, job.options, WatchedRun())
    expected, got = {file.path: file.sha256 for file in job.files}, digests(out)
    differing = sorted(path for path in {*expected, *got} if expected.get(path) != got.get(path))
    require(not differing, f"a download of {revision} and the release differ in {differing}")


def _examine(plugin: Hub, job: PublishInput) -> bool:
    """Whether the hub has `examine`, which is optional."""
    examine = getattr(plugin, "examine", None)
    if examine is not None:
        examine(job, WatchedRun())
    return examine is not None


def _check_refuses_other(plugin: Hub, other: PublishInput) -> None:
    told = "another release under the same tag"
    for what, ask in (
        ("passed `examine`", lambda: _examine(plugin, other)),
        ("was published", lambda: plugin.publish(other, WatchedRun())),
    ):
        try:
            if ask() is False:  # it has no `examine`
                continue
        except RefusedError as error:
            require(error.remedy, f"the refusal of {told} has no remedy")
            continue
        require(False, f"{told} {what}, it must raise RefusedError")


def _check_refuses_target(plugin: Hub, target: str) -> None:
    try:
        plugin.repository(target)
    except UsageError:
        return
    require(False, f"`repository` took {target!r}, it must raise UsageError")


def _check_refuses_revision(plugin: Hub, job: PublishInput) -> None:
    try:
        plugin.files(job.target, "no-such-revision", job.options, WatchedRun())
    except HubkitError as error:
        require(error.remedy, "the refusal of a revision that is not there has no remedy")
        return
    require(False, "`files` listed a revision that is not there, it must raise a HubkitError")
