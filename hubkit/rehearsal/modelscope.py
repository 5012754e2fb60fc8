"""The ModelScope API as modelscope-hub 0.5 calls it. Its default branch `master` is the
repository's `main` here, unless someone pushed a branch of that name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from . import attributes, card
from .commits import Draft
from .database import Repository
from .hub import Hub
from .huggingface import content
from .identity import COOKIE
from .lfs import upload_action
from .objects import check_oid
from .refusal import Refusal
from .repository import DEFAULT_BRANCH, GitRepository
from .web import Call, endpoint, json_endpoint, ok

_MODEL = "/api/v1/models/{owner}/{name}"
_WRITE = "/api/v1/repos/models/{owner}/{name}"
_VISIBILITY = {1: "private", 3: "internal", 5: "public"}
_COMMIT_LIMIT = 16 * 1024 * 1024
"""The client keeps to 8 MiB a request, as larger files go to Git LFS."""
_LISTED = 3000
"""The real hub silently leaves out what is beyond."""


def routes() -> Iterator[Route]:
    yield Route("/api/v1/login", json_endpoint(_login), methods=["POST"])
    yield Route("/openapi/v1/users/me", endpoint(_me))
    yield Route("/openapi/v1/models", endpoint(_list))
    yield Route("/openapi/v1/models/{owner}/{name}", endpoint(_open_info))
    yield Route("/api/v1/models", json_endpoint(_create), methods=["POST"])
    yield Route("/api/v1/repos/internalAccelerationInfo", endpoint(_region))
    yield Route(_MODEL, endpoint(_info))
    yield Route(_MODEL, endpoint(_delete), methods=["DELETE"])
    yield Route(_MODEL + "/revisions", endpoint(_revisions))
    yield Route(_MODEL + "/repo/files", endpoint(_files))
    yield Route(_MODEL + "/repo", endpoint(_download))
    yield Route(_MODEL + "/repo/tag", json_endpoint(_tag), methods=["POST"])
    yield Route(_MODEL + "/file", endpoint(_delete_file), methods=["DELETE"])
    yield Route(
        _WRITE + "/info/lfs/objects/batch", json_endpoint(_batch, 4 * 1024 * 1024), methods=["POST"]
    )
    yield Route(
        _WRITE + "/commit/{revision}", json_endpoint(_commit, _COMMIT_LIMIT), methods=["POST"]
    )


def _data(data: Any, headers: dict[str, str] | None = None) -> Response:
    return ok(
        {"Code": 200, "Success": True, "Message": "success", "RequestId": "", "Data": data},
        headers=headers,
    )


def _region(call: Call) -> Response:
    """Clients in ModelScope's own clouds ask that address for their region; modelscope 1.28 takes
    the key for granted."""
    return _data({"InternalRegionQueryAddress": ""})


def _login(call: Call) -> Response:
    token = call.text("AccessToken")
    user = call.hub.tokens.user(token)
    if user is None:
        raise Refusal(400, "AccessToken is invalid or expired")
    answer = _data(
        {"AccessToken": token, "Username": user.name, "Email": f"{user.name}@rehearsal.invalid"}
    )
    answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
    return answer


def _me(call: Call) -> Response:
    if call.user is None:
        raise Refusal(401, "user not logged in")
    return ok(
        {
            "success": True,
            "data": {"username": call.user.name, "email": f"{call.user.name}@rehearsal.invalid"},
        }
    )


def _create(call: Call) -> Response:
    name = f"{call.text('Path')}/{call.text('Name')}"
    visibility = call.body.get("Visibility", 5)
    if visibility not in _VISIBILITY:
        raise Refusal(400, f"Visibility {visibility!r}: 1 (private), 3 (internal) or 5 (public)")
    license = call.text("License", "Apache-2.0")
    files = {
        ".gitattributes": attributes.default(),
        "README.md": (
            f"---\nlicense: {json.dumps(license)}\n---\n# {name.split('/')[-1]}\n"
        ).encode(),
        "configuration.json": b'{"framework":"Pytorch","task":"others"}\n',
    }
    repository = call.hub.create(
        name, call.user, private=visibility != 5, license=license, files=files
    )
    call.event("modelscope", "create repository", name, f"{_VISIBILITY[visibility]}, {license}")
    return _data(_described(call.hub, repository))


def _described(hub: Hub, repository: Repository) -> dict[str, Any]:
    owner, name = repository.name.split("/")
    git = hub.git(repository)
    try:
        commit = _resolve(git, "master")
        about, count = (
            card.metadata(hub, repository, commit),
            sum(f.size for f in hub.files(repository, commit).values()),
        )
    except Refusal:
        about, count = {}, 0
    return {
        "Id": repository.id,
        "Path": owner,
        "Name": name,
        "Visibility": 1 if repository.private else 5,
        "License": repository.license or str(about.get("license", "")),
        "Revision": "master",
        "StorageSize": count,
        "Downloads": 0,
        "Stars": 0,
        "CreatedTime": _seconds(repository.created),
        "LastUpdatedTime": _seconds(repository.changed),
        "CreatedBy": repository.creator,
        "Tags": about.get("tags", []),
    }


def _seconds(moment: str) -> int:
    # datetime.fromisoformat takes "Z" only from Python 3.11 on
    return int(datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp())


def _info(call: Call) -> Response:
    return _data(_described(call.hub, call.repository()))


def _opened(hub: Hub, repository: Repository) -> dict[str, Any]:
    owner, name = repository.name.split("/")
    told = _described(hub, repository)
    return {
        "id": repository.name,
        "owner": owner,
        "name": name,
        "private": repository.private,
        "visibility": told["Visibility"],
        "license": told["License"],
        "downloads": 0,
        "likes": 0,
        "tags": told["Tags"],
        "created_at": repository.created,
        "last_modified": repository.changed,
    }


def _open_info(call: Call) -> Response:
    return ok({"success": True, "data": _opened(call.hub, call.repository())})


def _list(call: Call) -> Response:
    owner, search = call.query("owner"), call.query("search").lower()
    visible = [
        repository
        for repository in call.hub.database.repositories()
        if call.user or not repository.private
    ]
    chosen = [
        r for r in visible if owner in ("", r.name.split("/")[0]) and search in r.name.lower()
    ]
    number, size = max(1, call.number("page_number", 1)), call.number("page_size", 10)
    page = [
        _opened(call.hub, repository) for repository in chosen[(number - 1) * size : number * size]
    ]
    data = {"models": page, "total_count": len(chosen), "page_number": number, "page_size": size}
    return ok({"success": True, "data": data})


def _delete(call: Call) -> Response:
    call.repository(write=True)
    raise Refusal(
        403,
        "the current token no longer supports deletion operations. Please go to the site page to "
        "delete",
    )


def _resolve(git: GitRepository, revision: str) -> str:
    return git.resolve(_branch(git, revision or "master"))


def _branch(git: GitRepository, revision: str) -> str:
    """`master` as the repository calls it."""
    return (
        DEFAULT_BRANCH
        if revision == "master" and "refs/heads/master" not in git.refs()
        else revision
    )


def _revisions(call: Call) -> Response:
    git = call.hub.git(call.repository())
    listed: dict[str, list[dict[str, Any]]] = {"refs/heads/": [], "refs/tags/": []}
    for ref, commit in git.refs().items():
        for prefix, found in listed.items():
            if ref.startswith(prefix):
                name = ref.removeprefix(prefix)
                shown = (
                    "master"
                    if ref == f"refs/heads/{DEFAULT_BRANCH}" and _branch(git, "master") == name
                    else name
                )
                made = _seconds(git.log(commit, 1)[0].date)
                found.append({"Revision": shown, "Commit": commit, "CreatedAt": made})
    return _data({"RevisionMap": {"Branches": listed["refs/heads/"], "Tags": listed["refs/tags/"]}})


def _files(call: Call) -> Response:
    repository = call.repository()
    git = call.hub.git(repository)
    commit = _resolve(git, call.query("Revision"))
    root = call.query("Root").strip("/")
    prefix = f"{root}/" if root else ""
    recursive = call.query("Recursive").lower() == "true"
    last = git.log(commit, 1)[0]
    common = {
        "CommitMessage": last.title,
        "CommittedDate": _seconds(last.date),
        "CommitId": commit,
        "Revision": commit,
    }
    entries: list[dict[str, Any]] = [
        {
            "Path": folder.path,
            "Name": folder.path.rsplit("/", 1)[-1],
            "Type": "tree",
            "Size": 0,
            "Id": folder.tree,
            **common,
        }
        for folder in call.hub.folders(repository, commit).values()
    ]
    for file in call.hub.files(repository, commit).values():
        facts = {
            "Path": file.path,
            "Name": file.path.rsplit("/", 1)[-1],
            "Type": "blob",
            "Size": file.size,
            "Id": file.blob,
        }
        entries.append(
            {**facts, "Sha256": file.sha256, "IsLFS": bool(file.pointer), "Mode": "33188", **common}
        )
    inside = [
        e
        for e in entries
        if e["Path"].startswith(prefix) and (recursive or "/" not in e["Path"][len(prefix) :])
    ]
    inside.sort(key=lambda entry: entry["Path"])
    return _data(
        {"Files": inside[:_LISTED], "LatestCommitter": {"Id": commit, "Message": last.title}}
    )


def _download(call: Call) -> Response:
    repository = call.repository()
    commit = _resolve(call.hub.git(repository), call.query("Revision"))
    file = call.hub.file(repository, commit, call.query("FilePath"))
    linked = {"x-linked-etag": f'"{file.sha256}"', "x-repo-commit": commit}
    return content(call, repository, file, linked)


def _tag(call: Call) -> Response:
    """Only of what is on master, as on the real hub."""
    repository = call.repository(write=True)
    git, name = call.hub.git(repository), call.text("TagName")
    if not name:
        raise Refusal(400, "the name of the tag is empty")
    commit, master = _resolve(git, call.text("Ref", "master")), _resolve(git, "master")
    if not git.is_ancestor(commit, master):
        raise Refusal(400, f"{call.text('Ref')} is not on master: tags are made of master only")
    git.tag(name, commit, "", call.author)
    call.hub.database.set_repository(repository.id)
    call.event("modelscope", "create tag", repository.name, f"{name} at {commit[:12]}")
    return _data({"Revision": name, "Commit": commit})


def _delete_file(call: Call) -> Response:
    repository, path = call.repository(write=True), call.query("FilePath")
    git = call.hub.git(repository)
    with Draft(call.hub) as draft:
        draft.remove(path)
        commit = draft.commit(
            repository,
            _branch(git, call.query("Revision", "master")),
            f"Delete {path}",
            call.author,
        )
    call.event("modelscope", "commit", repository.name, f"{commit[:12]}: delete {path}")
    return _data({"CommitId": commit})


def _batch(call: Call) -> Response:
    repository = call.repository(write=True)
    asked = call.body.get("objects")
    if not isinstance(asked, list) or not all(isinstance(item, dict) for item in asked):
        raise Refusal(400, "a batch has a list of objects")
    objects = [check_oid(item.get("oid"), item.get("size")) for item in asked]
    return _data({"objects": [upload_action(call, repository.name, *item) for item in objects]})


def _commit(call: Call) -> Response:
    repository, author = call.repository(write=True), call.author
    git, actions = call.hub.git(repository), call.body.get("actions")
    message = call.text("commit_message", "") or "update"
    if not isinstance(actions, list) or not actions:
        raise Refusal(400, "a commit has a list of actions")
    with Draft(call.hub) as draft:
        for action in actions:
            _take(draft, action)
        call.body = None
        branch = _branch(git, call.path("revision"))
        if branch.startswith("refs/") or f"refs/tags/{branch}" in git.refs():
            raise Refusal(400, f"{branch} is not a branch")
        commit = draft.commit(repository, branch, message, author)
        count = len(draft)
    call.event(
        "modelscope",
        "commit",
        repository.name,
        f"{commit[:12]} on {call.path('revision')}: {count} files, {message}",
    )
    return _data({"CommitId": commit, "commit_id": commit, "oid": commit})


def _take(draft: Draft, action: Any) -> None:
    if not isinstance(action, dict) or not isinstance(action.get("path"), str):
        raise Refusal(400, "an action of the commit has no path")
    if action.get("action") == "delete":
        draft.remove(action["path"])
    elif action.get("action") not in ("create", "update"):
        raise Refusal(400, f"a commit cannot {action.get('action')!r}")
    elif action.get("type") == "lfs":
        draft.add_lfs(action["path"], action.get("sha256"), action.get("size"))
    else:
        draft.add(
            action["path"], str(action.get("content", "")), str(action.get("encoding") or "utf-8")
        )
