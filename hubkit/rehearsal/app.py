"""The hub as an ASGI application: routes of all protocols, and how each words a refusal."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from . import huggingface, huggingface_commits, huggingface_refs, lfs, modelscope, pages, smarthttp
from .hub import Hub
from .refusal import Moved, Refusal
from .repository import GitFault
from .web import Call, call_of

_log = logging.getLogger("hubkit.rehearsal")


def make_app(hub: Hub, hosts: Iterable[str] = ()) -> Starlette:
    """`hosts` are the names under which the hub answers (none: all); others are refused, as a page
    elsewhere could point its own name here."""
    parts = (lfs, modelscope, huggingface, huggingface_refs, huggingface_commits, smarthttp, pages)
    routes = [route for part in parts for route in part.routes()]
    handlers = {
        Refusal: _refused,
        Moved: _moved,
        HTTPException: _http_error,
        GitFault: _failed,
        OSError: _failed,
    }
    middleware = [Middleware(Front, hosts=frozenset(hosts))]
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=handlers)  # type: ignore[arg-type]
    app.router.redirect_slashes = False
    app.state.hub = hub
    return app


class Front:
    """Matches routes against the path as it was sent: in a decoded one, a revision's %2F would look
    like a separator."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self.app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            if self._hosts and _without_port(host) not in self._hosts:
                await Response("this hub does not answer under that name\n", 421)(
                    scope, receive, send
                )
                return
            scope = {**scope, "path": scope["raw_path"].decode("latin-1")}
        await self.app(scope, receive, send)


def _without_port(host: str) -> str:
    return host if host.endswith("]") else host.rpartition(":")[0] or host


def _answer(request: Request, status: int, message: str, code: str = "") -> Response:
    path = request.url.path
    headers = {"x-request-id": request.headers.get("x-request-id") or secrets.token_hex(8)}
    if path.startswith("/api/v1/"):
        numbers = {("POST", "/api/v1/login"): 10010103009, ("POST", "/api/v1/models"): 10010101001}
        number = numbers.get((request.method, path), status) if status in (400, 409) else status
        body = {
            "Code": number,
            "Message": message,
            "RequestId": headers["x-request-id"],
            "Success": False,
        }
        return JSONResponse(body, status, headers)
    if path.startswith("/openapi/"):
        names = {
            400: "InputParameterError",
            401: "InvalidAuthentication",
            403: "OperationNotAllowed",
            404: "ResourceNotFound",
        }
        data = {"success": False, "code": names.get(status, "Error"), "message": message}
        return JSONResponse({**data, "request_id": headers["x-request-id"]}, status, headers)
    if status == 401 and (
        ".git/" in path or path.endswith(("/info/refs", "/git-upload-pack", "/git-receive-pack"))
    ):
        headers["www-authenticate"] = 'Basic realm="rehearsal hub"'
        headers["lfs-authenticate"] = 'Basic realm="rehearsal hub"'
    if code:
        headers["x-error-code"] = code
    headers["x-error-message"] = quote(message, safe=" :/.,;'()=@#+-_!?*[]{}<>\"")
    return JSONResponse({"error": message, "message": message}, status, headers)


async def _refused(request: Request, error: Refusal) -> Response:
    if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(
        ("/api/", "/openapi/")
    ):
        return await run_in_threadpool(_refusal_page, request, error)
    return _answer(request, error.status, error.message, error.code)


def _refusal_page(request: Request, error: Refusal) -> Response:
    hub: Hub = request.app.state.hub
    try:
        call = call_of(request)
    except Refusal:
        call = Call(request, hub, None)
    return pages.refusal_page(call, error.status, error.message)


async def _http_error(request: Request, error: HTTPException) -> Response:
    return _answer(
        request, error.status_code, f"{error.detail}: {request.method} {request.url.path}"
    )


async def _moved(request: Request, error: Moved) -> Response:
    """To the new name on this host, with the method kept."""
    path = request.url.path.replace(f"/{error.old}", f"/{error.new}", 1)
    return RedirectResponse(path + (f"?{request.url.query}" if request.url.query else ""), 307)


async def _failed(request: Request, error: Exception) -> Response:
    _log.exception("%s %s", request.method, request.url.path, exc_info=error)
    full = isinstance(error, OSError) and error.errno is not None and error.errno in (28, 122)
    return _answer(
        request, 507 if full else 500, "the hub's disk is full" if full else "Internal Server Error"
    )
