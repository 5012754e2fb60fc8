"""Publishing: one commit with everything that changed, read back, then one tag. Whatever is there
already is not sent again.

Large files go first and show nowhere; the commit makes the whole release visible at once. A release
is recognised by its content: the manifest in it names release and tag, so that no two releases are
alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hubkit.sdk import PublishInput, RefusedError, ReleaseFile, RemoteError
from hubkit.sdk.hubs import (
    AGAIN,
    GIVEN,
    MANIFEST,
    NOT_AGAIN,
    another_release,
    content,
    read_json,
    refuse_strangers,
    still_shown,
)
from hubkit.sdk.transfer import Meter

from .client import installed
from .prepare import judge_visibility, prepare
from .read import git_blob
from .session import Session

TRAILER = "Release-Commit: "
"""In a commit's description: the id of the release's own git commit."""
WITHDRAW = "Withdraw {tag}"
"""The title of the commit that takes a release back."""


@dataclass(frozen=True)
class Landed:
    """`commit` at the hub, and the number of the pull request that holds it (0: none)."""

    commit: str
    pull_request: int = 0


class Release:
    """A release beside what a hub has. Small files are read once, and checked against the manifest
    as they are."""

    def __init__(self, job: PublishInput) -> None:
        self.job = job
        self._blobs: dict[str, str] = {}

    def differing(self, tree: Mapping[str, Any]) -> list[ReleaseFile]:
        return [
            file
            for file in self.job.files
            if file.path not in tree or not self._same(file, tree[file.path])
        ]

    def strangers(self, tree: Mapping[str, Any]) -> list[str]:
        return sorted(tree.keys() - {file.path for file in self.job.files})

    def is_at(self, tree: Mapping[str, Any]) -> bool:
        return not self.strangers(tree) and not self.differing(tree)

    def still_shown(self, tree: Mapping[str, Any]) -> bool:
        differing = [file.path for file in self.differing(tree)]
        return still_shown([file.path for file in self.job.files], tree, differing)

    def _same(self, file: ReleaseFile, remote: Any) -> bool:
        if remote.lfs is not None:
            return (remote.lfs.sha256, remote.lfs.size) == (file.sha256, file.size)
        if remote.size != file.size or file.lfs:
            return False
        if file.path not in self._blobs:
            self._blobs[file.path] = git_blob(content(self.job, file))
        return self._blobs[file.path] == str(remote.blob_id)

    def addition(self, file: ReleaseFile) -> Any:
        """The upload of one file, its digest from the manifest: a large file is read once, while it
        is sent."""
        from huggingface_hub import CommitOperationAdd

        if not file.lfs:
            return CommitOperationAdd(file.path, content(self.job, file))
        addition = CommitOperationAdd(file.path, self.job.folder / file.path)
        addition.upload_info.sha256 = bytes.fromhex(file.sha256)
        return addition


def foresee(session: Session, job: PublishInput) -> None:
    """
    Raises:
        RefusedError: the hub does not take the card, or as `publish`.
    """
    _judge_card(session, job)
    if (info := session.info()) is None:
        return
    judge_visibility(session, info)
    release = Release(job)
    branch = session.info(session.options.branch)
    head = "" if branch is None else str(branch.sha)
    if _settled(session, release, head) is None and head:
        _find(session, release, head)


def publish(session: Session, job: PublishInput) -> Landed:
    """
    Raises:
        RefusedError: another release has this tag, or the branch holds files that are no release.
        RemoteError: the hub failed; running again continues.
    """
    release = Release(job)
    head = prepare(session)
    if (settled := _settled(session, release, head)) is not None:
        return settled
    landed = _find(session, release, head) or _send(session, release, head)
    _read_back(session, release, landed)
    if not landed.pull_request and session.info(job.tag) is None:
        _tag(session, job.tag, landed)
    return landed


def _judge_card(session: Session, job: PublishInput) -> None:
    """By the hub's own rules; a hub that has no such question is not asked."""
    from huggingface_hub import get_session

    card = next((file for file in job.files if file.path == "README.md"), None)
    if card is None:
        return
    text = content(job, card).decode("utf-8", "replace")
    answer = get_session().post(
        f"{session.endpoint}/api/validate-yaml",
        json={"repoType": "model", "content": text},
        headers=session.api._build_hf_headers(),
    )
    if answer.status_code != 400:
        return
    errors = read_json(answer.content, dict, session.place).get("errors")
    listed = errors if isinstance(errors, list) else []
    told = [session.token.hide(str(one.get("message"))) for one in listed if isinstance(one, dict)]
    raise RefusedError(
        f"{session.place}: the hub does not take the metadata of README.md: "
        f"{'; '.join(told[:10]) or 'it does not say why'}",
        NOT_AGAIN,
    )


def _settled(session: Session, release: Release, head: str) -> Landed | None:
    """The release under its tag, where the branch with this head shows it as well, or has moved on.

    Raises:
        RefusedError: the tag names another one.
    """
    tagged = session.info(release.job.tag)
    if tagged is None:
        return None
    if not release.is_at(session.tree(tagged.sha)):
        raise another_release(session.place, release.job.tag, str(tagged.sha))
    if session.options.pull_request or tagged.sha == head:
        return Landed(tagged.sha)
    tree = session.tree(head) if head else {}
    if release.is_at(tree):
        return Landed(head)
    return Landed(tagged.sha) if release.still_shown(tree) else None


def _find(session: Session, release: Release, head: str) -> Landed | None:
    """The release where an earlier run left it: at the head, below later commits, or in a pull
    request.

    Raises:
        RefusedError: the branch holds files of somebody else.
    """
    tree = session.tree(head)
    if release.is_at(tree):
        return Landed(head)
    if session.options.pull_request:
        return _find_pull_request(session, release)
    if tree.keys() <= GIVEN:
        return None
    commits = session.api.list_repo_commits(session.repository, revision=session.options.branch)
    for commit in commits if release.still_shown(tree) else ():
        if commit.title == WITHDRAW.format(tag=release.job.tag):
            break
        if f"{TRAILER}{release.job.commit}" in commit.message and release.is_at(
            session.tree(commit.commit_id)
        ):
            return Landed(commit.commit_id)
    refuse_strangers(
        session.place,
        session.options.branch,
        tree,
        is_release=MANIFEST in tree,
        replace=session.options.replace,
    )
    return None


def _find_pull_request(session: Session, release: Release) -> Landed | None:
    refs = session.api.list_repo_refs(session.repository, include_pull_requests=True)
    for ref in reversed(refs.pull_requests or []):
        number = ref.ref.rpartition("/")[2]
        if number.isdigit() and release.is_at(session.tree(ref.target_commit)):
            return Landed(ref.target_commit, int(number))
    return None


def _send(session: Session, release: Release, head: str) -> Landed:
    from huggingface_hub import CommitOperationDelete

    job, options, tree = release.job, session.options, session.tree(head)
    changed, gone = release.differing(tree), release.strangers(tree)
    session.run.note(
        f"{session.place}: {len(changed)} of {len(job.files)} files to send, {len(gone)} to delete"
    )
    additions = [release.addition(file) for file in changed]
    _upload(session, job, additions, changed)
    operations = [*additions, *(CommitOperationDelete(path, is_folder=False) for path in gone)]

    def commit() -> Landed:
        made = session.api.create_commit(
            session.repository,
            operations,
            commit_message=options.message or job.message,
            commit_description=f"{TRAILER}{job.commit}",
            revision=options.branch,
            create_pr=options.pull_request,
            parent_commit=head,
            num_threads=job.pace.connections,
        )
        return Landed(str(made.oid), int(made.pr_num or 0))

    def landed() -> Landed | None:
        if options.pull_request:
            return _find_pull_request(session, release)
        now = session.info(options.branch)
        return (
            Landed(now.sha)
            if now is not None and now.sha != head and release.is_at(session.tree(now.sha))
            else None
        )

    return session.change(
        "commit", commit, landed, parent=head, send=[file.path for file in changed], delete=gone
    )


def _upload(
    session: Session, job: PublishInput, additions: list[Any], changed: list[ReleaseFile]
) -> None:
    large = [file for file in changed if file.lfs]
    xet = _has_xet(session)
    meter = session.terms.meter = Meter(session.run, sum(file.size for file in large), job.pace)

    def send() -> None:
        session.api.preupload_lfs_files(
            session.repository,
            additions=additions,
            revision=session.options.branch,
            create_pr=session.options.pull_request,
            num_threads=job.pace.connections,
            free_memory=False,
        )

    with (
        session.journal.step("upload", files=[file.path for file in large], xet=xet),
        installed(session.terms, xet=xet),
    ):
        try:
            session.with_fresh_links(send, _is_stale)
        except Exception as error:
            raise session.explained(error) from None
    meter.enough()


def _is_stale(error: BaseException) -> bool:
    """A signed link that is not valid any more, by the answer to its use."""
    response = getattr(error, "response", None)
    if response is None or response.status_code != 403:
        return False
    url = response.request.url
    return bool(url.query) and not url.path.startswith("/api/")


def _has_xet(session: Session) -> bool:
    """Whether to upload by Xet. huggingface_hub 2.4 does so wherever hf_xet imports, and fails at a
    hub that has none."""
    from huggingface_hub import get_session
    from huggingface_hub.utils._runtime import is_xet_available

    options, api = session.options, session.api
    if options.xet == "off":
        return False
    with installed(session.terms, xet=True):
        usable = is_xet_available()
    if options.xet == "on" or not usable:
        return bool(usable)
    url = f"{api.endpoint}/api/models/{session.repository}/xet-write-token/{options.branch}"
    answer = get_session().get(url, headers=api._build_hf_headers())
    return bool(answer.status_code == 200 and answer.headers.get("X-Xet-Cas-Url"))


def _read_back(session: Session, release: Release, landed: Landed) -> None:
    tree = session.tree(landed.commit)
    wrong = [file.path for file in release.differing(tree)] + release.strangers(tree)
    if wrong:
        told = (
            f"commit {landed.commit} has other bytes than the release and is not tagged: "
            f"{', '.join(wrong)}"
        )
        raise RemoteError(f"{session.place}: {told}", AGAIN)


def _tag(session: Session, tag: str, landed: Landed) -> None:
    def act() -> bool:
        session.api.create_tag(session.repository, tag=tag, revision=landed.commit)
        return True

    def there() -> bool | None:
        info = session.info(tag)
        return True if info is not None and info.sha == landed.commit else None

    session.change("tag", act, there, tag=tag, commit=landed.commit)
