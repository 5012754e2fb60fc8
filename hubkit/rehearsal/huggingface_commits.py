"""The Hugging Face API's writes to files: how to upload each, commits (a JSON object a line), pull
requests."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import attributes
from .commits import Draft
from .database import Pull, Repository
from .hub import BINARY_LIMIT, BLOB_LIMIT
from .huggingface import MODEL
from .refusal import Refusal
from .repository import DEFAULT_BRANCH
from .web import Call, call_of, endpoint, json_endpoint, ok, parsed, stream

_LINE_LIMIT = BLOB_LIMIT * 4 // 3 + 64 * 1024


def routes() -> Iterator[Route]:
    yield Route(
        MODEL + "/preupload/{revision}",
        json_endpoint(_preupload, 4 * 1024 * 1024),
        methods=["POST"],
    )
    yield Route(MODEL + "/commit/{revision}", _commit, methods=["POST"])
    yield Route(MODEL + "/discussions", json_endpoint(_open_pull), methods=["POST"])
    yield Route(MODEL + "/discussions", endpoint(_list_pulls))
    yield Route(MODEL + "/discussions/{number:int}", endpoint(_show_pull))
    yield Route(
        MODEL + "/discussions/{number:int}/status", json_endpoint(_set_status), methods=["POST"]
    )
    yield Route(MODEL + "/discussions/{number:int}/merge", json_endpoint(_merge), methods=["POST"])


def _preupload(call: Call) -> Response:
    """Git LFS for what .gitattributes tracks, what is over 10 MiB, and binary files from 1 MB
    on."""
    repository = call.repository(write=not _wants_pull(call))
    git = call.hub.git(repository)
    refs = git.refs()
    commit = git.resolve(call.path("revision")) if refs else None
    present = call.hub.files(repository, commit) if commit else {}
    tracked = attributes.tracker(
        call.hub.attributes(repository, commit) if commit else attributes.default()
    )
    answers = []
    for asked in call.body.get("files", []):
        path, size, sample = _asked(asked)
        large = size > (BINARY_LIMIT if b"\0" in sample else BLOB_LIMIT)
        lfs = tracked(path) or large
        answer = {"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
        if file := present.get(path):
            answer["oid"] = file.sha256 if file.pointer else file.blob
        answers.append(answer)
    return ok({"files": answers, **({"commitOid": commit} if commit else {})})


def _asked(item: Any) -> tuple[str, int, bytes]:
    """Path, size and the first bytes of a file that a client is to upload."""
    try:
        path, size, sample = item["path"], item["size"], base64.b64decode(item.get("sample") or "")
    except (KeyError, TypeError, AttributeError, ValueError):
        raise Refusal(400, "a file to upload has a path, a size, and a sample in base64") from None
    if not isinstance(path, str) or not isinstance(size, int):
        raise Refusal(400, "a file to upload has a path and a size")
    return path, size, sample


def _wants_pull(call: Call) -> bool:
    return call.query("create_pr") in ("1", "true")


async def _lines(request: Request) -> AsyncIterator[dict[str, Any]]:
    waiting = bytearray()

    def parse(line: bytes) -> dict[str, Any]:
        item = parsed(line, "a line of the commit")
        try:
            return {
                "key": str(item["key"]),
                **{name: value for name, value in item["value"].items() if name != "key"},
            }
        except (KeyError, TypeError, AttributeError):
            raise Refusal(
                400, "a line of the commit is not a JSON object with key and value"
            ) from None

    async for chunk in stream(request):
        waiting += chunk
        while (end := waiting.find(b"\n")) >= 0:
            line = bytes(waiting[:end])
            del waiting[: end + 1]
            if line.strip():
                yield parse(line)
        if len(waiting) > _LINE_LIMIT:
            raise Refusal(
                413,
                f"a line of the commit has more than {_LINE_LIMIT} bytes: files over 10 MiB go "
                "through Git LFS",
            )
    if waiting.strip():
        yield parse(bytes(waiting))


async def _commit(request: Request) -> Response:
    call = call_of(request)
    author, repository = call.author, await run_in_threadpool(call.repository, write=True)
    header: dict[str, Any] = {}
    with Draft(call.hub) as draft:
        async for item in _lines(request):
            if item["key"] == "header":
                header = item
            else:
                await run_in_threadpool(_take, draft, item)
        if not str(header.get("summary", "")).strip():
            raise Refusal(400, "the commit has no header line with a summary")
        return await run_in_threadpool(_finish, call, repository, draft, header, author)


def _take(draft: Draft, item: dict[str, Any]) -> None:
    key, path = item["key"], item.get("path")
    if not isinstance(path, str):
        raise Refusal(400, f"{key}: no path")
    if key == "file":
        draft.add(path, str(item.get("content", "")), str(item.get("encoding", "utf-8")))
    elif key == "lfsFile":
        draft.add_lfs(path, item.get("oid"), item.get("size"))
    elif key in ("deletedFile", "deletedFolder"):
        draft.remove(path, folder=key == "deletedFolder")
    else:
        raise Refusal(400, f"a commit cannot do {key!r}")


def _finish(
    call: Call, repository: Repository, draft: Draft, header: dict[str, Any], author: str
) -> Response:
    revision, answer = call.path("revision"), {}
    summary, description = str(header["summary"]), str(header.get("description") or "")
    onto = None
    if _wants_pull(call):
        onto = call.hub.git(repository).resolve(revision)
        pull = call.hub.database.add_pull(repository.id, summary, description, author)
        revision = f"refs/pr/{pull.number}"
        answer["pullRequestUrl"] = f"{call.base}/{repository.name}/discussions/{pull.number}"
        call.event("huggingface", "open pull request", repository.name, f"#{pull.number} {summary}")
    message = f"{summary}\n\n{description}"
    commit = draft.commit(
        repository, revision, message, author, parent=header.get("parentCommit"), onto=onto
    )
    call.event(
        "huggingface",
        "commit",
        repository.name,
        f"{commit[:12]} on {revision}: {len(draft)} files, {summary}",
    )
    return ok(
        {
            "success": True,
            "commitOid": commit,
            "commitUrl": f"{call.base}/{repository.name}/commit/{commit}",
            **answer,
        }
    )


def _open_pull(call: Call) -> Response:
    repository, author = call.repository(write=True), call.author
    if not call.body.get("pullRequest"):
        raise Refusal(400, "this hub has pull requests, but no discussions")
    git = call.hub.git(repository)
    head = git.resolve(DEFAULT_BRANCH)
    pull = call.hub.database.add_pull(
        repository.id, call.text("title"), call.text("description", ""), author
    )
    git.set_ref(f"refs/pr/{pull.number}", head, None)
    call.event("huggingface", "open pull request", repository.name, f"#{pull.number} {pull.title}")
    return ok(_described(repository, pull))


def _list_pulls(call: Call) -> Response:
    repository = call.repository()
    pulls = call.hub.database.pulls(repository.id)
    return ok(
        {
            "discussions": [_described(repository, pull) for pull in pulls],
            "count": len(pulls),
            "start": 0,
        }
    )


def _pull(call: Call, repository: Repository) -> Pull:
    pulls = call.hub.database.pulls(repository.id, int(call.path("number")))
    if not pulls:
        raise Refusal(404, f"there is no pull request {call.path('number')}")
    return pulls[0]


def _show_pull(call: Call) -> Response:
    repository = call.repository()
    return ok(_described(repository, _pull(call, repository)))


def _described(repository: Repository, pull: Pull) -> dict[str, Any]:
    return {
        "num": pull.number,
        "title": pull.title,
        "author": {"name": pull.author},
        "createdAt": pull.created,
        "status": pull.status,
        "repo": {"name": repository.name, "type": "model"},
        "isPullRequest": True,
        "events": [],
        "filesWithConflicts": [],
        "changes": {"base": f"refs/heads/{DEFAULT_BRANCH}", "mergeCommitId": pull.merged or None},
        "diff": "",
    }


def _set_status(call: Call) -> Response:
    repository = call.repository(write=True)
    pull, status = _pull(call, repository), call.text("status")
    if status not in ("open", "closed") or pull.status == "merged":
        raise Refusal(400, f"a {pull.status} pull request cannot become {status!r}")
    call.hub.database.set_pull(pull, status)
    call.event("huggingface", "pull request", repository.name, f"#{pull.number} {status}")
    event = {
        "id": "1",
        "type": "status-change",
        "createdAt": pull.created,
        "author": {"name": pull.author},
        "data": {"status": status},
    }
    return ok({"newStatus": event})


def _merge(call: Call) -> Response:
    """By fast-forward only: where `main` has gone on, the commit is to be made again."""
    repository = call.repository(write=True)
    pull, git = _pull(call, repository), call.hub.git(repository)
    head, main = git.resolve(f"refs/pr/{pull.number}"), git.resolve(DEFAULT_BRANCH)
    if not git.is_ancestor(main, head):
        raise Refusal(409, f"{DEFAULT_BRANCH} has gone on since the pull request was made")
    git.set_ref(
        f"refs/heads/{DEFAULT_BRANCH}", head, main, message=f"merge pull request {pull.number}"
    )
    call.hub.database.set_pull(pull, "merged", head)
    call.hub.database.set_repository(repository.id)
    call.event(
        "huggingface", "merge pull request", repository.name, f"#{pull.number} as {head[:12]}"
    )
    return ok({})
