"""Git LFS: the batch API, uploads (whole or in parts), downloads, verification."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import holdings
from .answers import FileResponse
from .identity import User
from .objects import check_oid
from .refusal import Refusal
from .web import Call, call_of, endpoint, json_endpoint, ok, stream

_HASHES = ("sha256", "sha_256")
"""The second is what huggingface.js 2.17 calls it."""
_MEDIA = "application/vnd.git-lfs+json"
_BATCH_LIMIT = 4 * 1024 * 1024


def routes() -> Iterator[Route]:
    for prefix in ("/{owner}/{name}.git", "/models/{owner}/{name}.git"):
        yield Route(
            f"{prefix}/info/lfs/objects/batch",
            json_endpoint(_batch, _BATCH_LIMIT),
            methods=["POST"],
        )
    yield Route("/lfs/{owner}/{name}/objects/{oid}", _upload, methods=["PUT"])
    yield Route("/lfs/{owner}/{name}/objects/{oid}", endpoint(_download), methods=["GET"])
    yield Route(
        "/lfs/{owner}/{name}/objects/{oid}/verify", json_endpoint(_verify), methods=["POST"]
    )
    yield Route(
        "/lfs/{owner}/{name}/objects/{oid}/parts/{size:int}/{part:int}",
        _upload_part,
        methods=["PUT"],
    )
    yield Route(
        "/lfs/{owner}/{name}/objects/{oid}/complete", json_endpoint(_complete), methods=["POST"]
    )


def _batch(call: Call) -> Response:
    operation = call.text("operation")
    if operation not in ("upload", "download"):
        raise Refusal(422, f"operation {operation!r}: there are upload and download")
    repository = (
        call.hub.for_push(call.name, call.user) if operation == "upload" else call.repository()
    )
    transfers = call.body.get("transfers", ["basic"])
    asked = call.body.get("objects")
    if not isinstance(asked, list) or call.body.get("hash_algo", "sha256") not in _HASHES:
        raise Refusal(422, "a batch has a list of objects with sha256 as their oid")
    objects = [
        check_oid(item.get("oid"), item.get("size"))
        if isinstance(item, dict)
        else check_oid(None, None)
        for item in asked
    ]
    if operation == "download":
        held = None if call.user else holdings.held(call.hub, repository)
        answers = [
            _download_action(call, repository.name, *item, here=held is None or item[0] in held)
            for item in objects
        ]
        transfer = "basic"
    else:
        parts = "multipart" in transfers and any(
            size > call.hub.multipart_above for _, size in objects
        )
        transfer = "multipart" if parts else "basic"
        answers = [upload_action(call, repository.name, *item, parts=parts) for item in objects]
    return JSONResponse(
        {"transfer": transfer, "objects": answers, "hash_algo": "sha256"}, media_type=_MEDIA
    )


def upload_action(
    call: Call, name: str, oid: str, size: int, *, parts: bool = False
) -> dict[str, Any]:
    """An object of a batch answer: without actions when the hub has it."""
    answer: dict[str, Any] = {"oid": oid, "size": size}
    if call.hub.objects.has(oid, size):
        return answer
    place = f"/lfs/{name}/objects/{oid}"
    verify = {"href": call.link("POST", f"{place}/verify")}
    upload: dict[str, Any] = {"href": call.link("PUT", place)}
    if parts and size > call.hub.multipart_above:
        count = -(-size // call.hub.part_size)
        links = {
            f"{n:05d}": call.link("PUT", f"{place}/parts/{size}/{n}") for n in range(1, count + 1)
        }
        upload = {
            "href": call.link("POST", f"{place}/complete"),
            "header": {"chunk_size": str(call.hub.part_size), **links},
        }
    return answer | {"actions": {"upload": upload, "verify": verify}}


def _download_action(call: Call, name: str, oid: str, size: int, *, here: bool) -> dict[str, Any]:
    if not here or not call.hub.objects.has(oid, size):
        return {
            "oid": oid,
            "size": size,
            "error": {"code": 404, "message": "Object does not exist on the server"},
        }
    link = {"href": call.link("GET", f"/lfs/{name}/objects/{oid}")}
    return {"oid": oid, "size": size, "authenticated": True, "actions": {"download": link}}


def _permitted(call: Call) -> tuple[str, str]:
    """Repository and oid of a signed link.

    Raises:
        Refusal: 403, the link is not valid.
    """
    request = call.request
    user = call.hub.links.check(request.method, request.url.path, request.query_params)
    call.user = User(user, write=True) if user else None
    return call.name, call.path("oid")


async def _upload(request: Request) -> Response:
    call = call_of(request)
    name, oid = _permitted(call)
    announced = request.headers.get("content-length", "")
    size = int(announced) if announced.isdigit() else None
    count = await call.hub.objects.receive(
        stream(request), oid, size, spoil=bool(request.scope.get("hubkit.spoil"))
    )
    await run_in_threadpool(call.event, "lfs", "upload", name, f"{oid[:12]} {count} bytes")
    return ok({"Code": 200, "Success": True, "Message": "success"})


async def _upload_part(request: Request) -> Response:
    call = call_of(request)
    _, oid = _permitted(call)
    part, size = int(call.path("part")), int(call.path("size"))
    offset = (part - 1) * call.hub.part_size
    length = min(call.hub.part_size, size - offset)
    if part < 1 or length <= 0:
        raise Refusal(400, f"there is no part {part} in {size} bytes")
    digest = await call.hub.objects.receive_part(stream(request), oid, offset, length)
    return Response(headers={"etag": f'"{digest}"'})


def _complete(call: Call) -> Response:
    name, oid = _permitted(call)
    if call.body.get("oid") != oid:
        raise Refusal(400, "this link completes another object")
    size = call.hub.objects.complete(oid)
    call.event(
        "lfs", "upload", name, f"{oid[:12]} {size} bytes in {len(call.body.get('parts', []))} parts"
    )
    return ok({"success": True})


def _verify(call: Call) -> Response:
    _, oid = _permitted(call)
    sent, size = check_oid(call.body.get("oid"), call.body.get("size"))
    if sent != oid or not call.hub.objects.has(oid, size):
        raise Refusal(404, f"{oid} is not here with {size} bytes")
    return ok({})


def _download(call: Call) -> Response:
    _, oid = _permitted(call)
    if (size := call.hub.objects.size(oid)) is None:
        raise Refusal(404, f"{oid} is not here")
    return FileResponse(
        call.hub.objects.path(oid), size, call.request, {"etag": f'"{oid}"'}, "object"
    )
