"""The Hugging Face API's references: commits, branches, tags; and a repository's settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from .database import Repository
from .huggingface import MODEL, at
from .refusal import Refusal
from .repository import DEFAULT_BRANCH
from .web import Call, endpoint, json_endpoint, ok


def routes() -> Iterator[Route]:
    yield Route(MODEL + "/commits/{revision}", endpoint(_commits))
    yield Route(MODEL + "/refs", endpoint(_refs))
    yield Route(MODEL + "/branch/{branch}", json_endpoint(_create_branch), methods=["POST"])
    yield Route(MODEL + "/branch/{branch}", endpoint(_delete_branch), methods=["DELETE"])
    yield Route(MODEL + "/tag/{revision}", json_endpoint(_create_tag), methods=["POST"])
    yield Route(MODEL + "/tag/{revision}", endpoint(_delete_tag), methods=["DELETE"])
    yield Route(MODEL + "/settings", json_endpoint(_settings), methods=["PUT"])


def _commits(call: Call) -> Response:
    repository, commit = at(call)
    page = call.number("p", 0)
    found = call.hub.git(repository).log(commit, 51, page * 50)
    headers = {}
    if len(found) > 50:
        headers["link"] = f'<{call.request.url.include_query_params(p=page + 1)}>; rel="next"'
    return ok(
        [
            {
                "id": c.id,
                "title": c.title,
                "message": c.body,
                "authors": [{"user": c.author}],
                "date": c.date,
            }
            for c in found[:50]
        ],
        headers=headers,
    )


def _refs(call: Call) -> Response:
    kinds: dict[str, list[dict[str, str]]] = {
        "branches": [],
        "converts": [],
        "tags": [],
        "pullRequests": [],
    }
    prefixes = {"refs/heads/": "branches", "refs/tags/": "tags", "refs/pr/": "pullRequests"}
    for ref, commit in call.hub.git(call.repository()).refs().items():
        for prefix, kind in prefixes.items():
            if ref.startswith(prefix):
                name = ref if kind == "pullRequests" else ref.removeprefix(prefix)
                kinds[kind].append({"name": name, "ref": ref, "targetCommit": commit})
    if call.query("include_prs") not in ("1", "true", "True"):
        del kinds["pullRequests"]
    return ok(kinds)


def _create_branch(call: Call) -> Response:
    repository, branch = call.repository(write=True), call.path("branch")
    git = call.hub.git(repository)
    ref = f"refs/heads/{branch}"
    start = git.resolve(call.text("startingPoint", DEFAULT_BRANCH))
    if ref in git.refs():
        raise Refusal(409, f"Reference already exists: {ref}")
    git.set_ref(ref, start, None)
    call.event("huggingface", "create branch", repository.name, f"{branch} at {start[:12]}")
    return ok({})


def _delete_branch(call: Call) -> Response:
    repository, branch = call.repository(write=True), call.path("branch")
    if branch == DEFAULT_BRANCH:
        raise Refusal(403, f"{DEFAULT_BRANCH} cannot be deleted")
    _delete_ref(call, repository, f"refs/heads/{branch}")
    call.event("huggingface", "delete branch", repository.name, branch)
    return ok({})


def _create_tag(call: Call) -> Response:
    repository, commit = call.repository(write=True), at(call)[1]
    tag = call.text("tag")
    call.hub.git(repository).tag(tag, commit, call.text("message", ""), call.author)
    call.hub.database.set_repository(repository.id)
    call.event("huggingface", "create tag", repository.name, f"{tag} at {commit[:12]}")
    return ok({})


def _delete_tag(call: Call) -> Response:
    repository, tag = call.repository(write=True), call.path("revision")
    _delete_ref(call, repository, f"refs/tags/{tag}")
    call.event("huggingface", "delete tag", repository.name, tag)
    return ok({})


def _delete_ref(call: Call, repository: Repository, ref: str) -> None:
    git = call.hub.git(repository)
    if ref not in git.refs():
        raise Refusal(404, f"{ref} does not exist", "RevisionNotFound")
    git.set_ref(ref, None, git.ref_object(ref))
    call.hub.database.set_repository(repository.id)


def _settings(call: Call) -> Response:
    repository = call.repository(write=True)
    values: dict[str, Any] = {}
    if "visibility" in call.body or "private" in call.body:
        values["private"] = (
            call.body.get("visibility", "private" if call.body.get("private") else "public")
            == "private"
        )
    if "gated" in call.body:
        values["gated"] = call.body["gated"] or ""
    call.hub.database.set_repository(repository.id, **values)
    said = ", ".join(f"{key} {value}" for key, value in values.items())
    call.event("huggingface", "change settings", repository.name, said)
    return ok({})
