"""The Hugging Face API as huggingface_hub 2.4 calls it: accounts, repositories, what is in them,
references.

There is no Xet here: its endpoints answer 404, as on a hub of one's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from . import attributes, card
from .answers import FileResponse
from .database import Repository
from .hub import File, Folder, Hub, require_write
from .identity import check_name
from .refusal import Refusal
from .repository import DEFAULT_BRANCH
from .web import Call, call_of, endpoint, json_endpoint, ok, parsed, read

_PAGE = 1000
MODEL = "/api/models/{owner}/{name}"


def routes() -> Iterator[Route]:
    yield Route("/api/whoami-v2", endpoint(_whoami))
    yield Route(
        "/api/validate-yaml", json_endpoint(_validate_yaml, 4 * 1024 * 1024), methods=["POST"]
    )
    yield Route("/api/repos/create", json_endpoint(_create), methods=["POST"])
    yield Route("/api/repos/delete", json_endpoint(_delete), methods=["DELETE"])
    yield Route("/api/repos/move", json_endpoint(_move), methods=["POST"])
    yield Route("/api/models", endpoint(_list))
    yield Route(MODEL, endpoint(_info))
    yield Route(MODEL + "/revision/{revision}", endpoint(_info))
    yield Route(MODEL + "/tree/{revision}", endpoint(_tree))
    yield Route(MODEL + "/tree/{revision}/{path:path}", endpoint(_tree))
    yield Route(MODEL + "/paths-info/{revision}", _paths_info, methods=["POST"])
    yield Route(MODEL + "/auth-check", endpoint(_auth_check))
    yield Route(MODEL + "/auth-check/write", endpoint(_auth_check))
    for word in ("resolve", "raw"):
        yield Route("/{owner}/{name}/" + word + "/{revision}/{path:path}", endpoint(_resolve))


def _whoami(call: Call) -> Response:
    if call.user is None:
        raise Refusal(401, "Invalid username or password.")
    organisations = sorted(
        {repository.name.split("/")[0] for repository in call.hub.database.repositories()}
        - {call.user.name}
    )
    role = "write" if call.user.write else "read"
    return ok(
        {
            "type": "user",
            "id": call.user.name,
            "name": call.user.name,
            "fullname": call.user.name,
            "isPro": False,
            "anyNamespace": True,
            "orgs": [
                {"type": "org", "name": name, "fullname": name, "roleInOrg": role}
                for name in organisations
            ],
            "auth": {
                "type": "access_token",
                "accessToken": {"displayName": "rehearsal", "role": role},
            },
        }
    )


def _validate_yaml(call: Call) -> Response:
    errors, warnings = card.problems(call.text("content"))
    lists = {
        "errors": [{"message": text} for text in errors],
        "warnings": [{"message": text} for text in warnings],
    }
    return ok(lists, 400 if errors else 200)


def _asked_name(call: Call) -> str:
    if call.body.get("type", "model") != "model":
        raise Refusal(400, "this hub has models only")
    if not isinstance(call.body.get("organization"), str):
        raise Refusal(400, f"write organisation/name, not {call.body.get('name')!r} alone")
    return check_name(f"{call.body['organization']}/{call.text('name')}")


def _create(call: Call) -> Response:
    name = _asked_name(call)
    visibility = call.body.get("visibility") or (
        "private" if call.body.get("private") else "public"
    )
    if visibility not in ("public", "private"):
        raise Refusal(400, f"visibility {visibility!r}: a model is public or private")
    answer = {"url": f"{call.base}/{name}", "name": name, "id": name}
    try:
        call.hub.create(
            name,
            call.user,
            private=visibility == "private",
            files={".gitattributes": attributes.default()},
        )
    except Refusal as refusal:
        if refusal.status != 409:
            raise
        return ok({"error": refusal.message, **answer}, 409, {"x-error-message": refusal.message})
    call.event("huggingface", "create repository", name, visibility)
    return ok(answer)


def _delete(call: Call) -> Response:
    repository = call.hub.find(_asked_name(call), call.user, write=True)
    call.hub.delete(repository)
    call.event("huggingface", "delete repository", repository.name)
    return ok({})


def _move(call: Call) -> Response:
    repository = call.hub.find(call.text("fromRepo"), call.user, write=True)
    name = check_name(call.text("toRepo"))
    if not call.hub.database.rename(repository, name):
        raise Refusal(409, f"{name} exists already")
    call.event("huggingface", "rename repository", name, f"was {repository.name}")
    return ok({"url": f"{call.base}/{name}"})


def _list(call: Call) -> Response:
    author, search = call.query("author"), call.query("search").lower()
    visible = [
        repository
        for repository in call.hub.database.repositories()
        if call.user or not repository.private
    ]
    chosen = [
        r for r in visible if author in ("", r.name.split("/")[0]) and search in r.name.lower()
    ]
    return ok([_summary(repository) for repository in chosen[: call.number("limit", _PAGE)]])


def _summary(repository: Repository) -> dict[str, Any]:
    return {
        "_id": f"{repository.id:024x}",
        "id": repository.name,
        "modelId": repository.name,
        "author": repository.name.split("/")[0],
        "private": repository.private,
        "gated": repository.gated or False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [f"license:{repository.license}"] if repository.license else [],
        "createdAt": repository.created,
        "lastModified": repository.changed,
    }


def at(call: Call) -> tuple[Repository, str]:
    repository = call.repository()
    return repository, call.hub.git(repository).resolve(call.path("revision"))


def _info(call: Call) -> Response:
    repository = call.repository()
    revision = call.path("revision") if "revision" in call.request.path_params else DEFAULT_BRANCH
    info = _summary(repository)
    try:
        commit = call.hub.git(repository).resolve(revision)
    except Refusal:
        if revision != DEFAULT_BRANCH or call.hub.git(repository).refs():
            raise
        return ok(info | {"sha": None, "siblings": []})
    files = call.hub.files(repository, commit)
    blobs = call.query("blobs").lower() in ("true", "1")
    about = card.metadata(call.hub, repository, commit)
    siblings = [
        {"rfilename": file.path, **(_sibling(file) if blobs else {})} for file in files.values()
    ]
    storage = {"usedStorage": sum(file.size for file in files.values())}
    kind = {"pipeline_tag": about.get("pipeline_tag"), "library_name": about.get("library_name")}
    return ok(
        info | kind | storage | {"sha": commit, "siblings": siblings, "cardData": about or None}
    )


def _sibling(file: File) -> dict[str, Any]:
    lfs = (
        {"lfs": {"sha256": file.sha256, "size": file.size, "pointerSize": file.pointer}}
        if file.pointer
        else {}
    )
    return {"size": file.size, "blobId": file.blob, **lfs}


def _entry(item: File | Folder) -> dict[str, Any]:
    if isinstance(item, Folder):
        return {"type": "directory", "oid": item.tree, "size": 0, "path": item.path}
    lfs = (
        {"lfs": {"oid": item.sha256, "size": item.size, "pointerSize": item.pointer}}
        if item.pointer
        else {}
    )
    return {"type": "file", "oid": item.blob, "size": item.size, "path": item.path, **lfs}


def _items(hub: Hub, repository: Repository, commit: str) -> dict[str, File | Folder]:
    return {**hub.folders(repository, commit), **hub.files(repository, commit)}


def _tree(call: Call) -> Response:
    repository, commit = at(call)
    below = call.path("path").strip("/") if "path" in call.request.path_params else ""
    items = _items(call.hub, repository, commit)
    if below and not isinstance(items.get(below), Folder):
        raise Refusal(404, f"{below} does not exist on {commit}", "EntryNotFound")
    prefix = f"{below}/" if below else ""
    recursive = call.query("recursive").lower() in ("true", "1")
    inside = [
        path
        for path in sorted(items)
        if path.startswith(prefix) and (recursive or "/" not in path[len(prefix) :])
    ]
    start = call.number("cursor", 0)
    headers = {}
    if start + _PAGE < len(inside):
        after = str(call.request.url.include_query_params(cursor=start + _PAGE))
        headers["link"] = f'<{after}>; rel="next"'
    return ok([_entry(items[path]) for path in inside[start : start + _PAGE]], headers=headers)


def _asked_paths(request: Request, body: bytes) -> list[str]:
    """From a form, as huggingface_hub sends it, or from JSON, as huggingface.js does.

    Raises:
        Refusal: 400, it is JSON and has no list of paths.
    """
    if not request.headers.get("content-type", "").startswith("application/json"):
        return parse_qs(body.decode(errors="replace")).get("paths", [])
    try:
        paths = parsed(body, "the body")["paths"]
    except (KeyError, TypeError):
        raise Refusal(400, "the request has no paths") from None
    paths = paths if isinstance(paths, list) else [paths]
    if not all(isinstance(path, str) for path in paths):
        raise Refusal(400, "a path is text")
    return [path.strip("/") for path in paths]


async def _paths_info(request: Request) -> Response:
    call = call_of(request)
    paths = _asked_paths(request, await read(request, 4 * 1024 * 1024))

    def answer() -> Response:
        repository, commit = at(call)
        items = _items(call.hub, repository, commit)
        return ok([_entry(items[path]) for path in paths if path in items])

    return await run_in_threadpool(answer)


def _auth_check(call: Call) -> Response:
    call.repository()
    if call.request.url.path.endswith("/write"):
        require_write(call.user)
    return ok({})


def _resolve(call: Call) -> Response:
    repository, commit = at(call)
    headers = {"x-repo-commit": commit}
    try:
        file = call.hub.file(repository, commit, call.path("path"))
    except Refusal as refusal:
        return ok(
            {"error": refusal.message},
            404,
            headers | {"x-error-code": refusal.code, "x-error-message": "Entry not found"},
        )
    return content(call, repository, file, headers)


def content(call: Call, repository: Repository, file: File, headers: dict[str, str]) -> Response:
    """The bytes of a file, with the headers by which both hubs' clients check them.

    Raises:
        Refusal: 404, the object behind a pointer is not here.
    """
    named = f"inline; filename*=UTF-8''{quote(file.path.rsplit('/', 1)[-1])}"
    headers = {**headers, "content-disposition": named}
    if not file.pointer:
        data = call.hub.git(repository).blob(file.blob)
        return FileResponse(
            data, file.size, call.request, headers | {"etag": f'"{file.blob}"'}, file.path
        )
    if not call.hub.objects.has(file.sha256, file.size):
        raise Refusal(404, f"the Git LFS object of {file.path} is not here", "EntryNotFound")
    linked = {
        "x-linked-size": str(file.size),
        "x-linked-etag": f'"{file.sha256}"',
        "etag": f'"{file.sha256}"',
    }
    return FileResponse(
        call.hub.objects.path(file.sha256), file.size, call.request, headers | linked, file.path
    )
