"""The page's web server, on loopback alone, in a thread of this process."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI
from gradio import Blocks, mount_gradio_app

from ..errors import EnvironmentFailure

NAMES = frozenset({b"127.0.0.1", b"localhost"})
POLICY = "; ".join(
    (
        *(
            "default-src 'self'",
            "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
            "style-src 'self' 'unsafe-inline'",
        ),
        *(
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "media-src 'self' data: blob:",
            "worker-src 'self' blob:",
        ),
        *("object-src 'none'", "base-uri 'self'", "form-action 'self'", "frame-ancestors 'none'"),
    )
)
"""The browser loads nothing from elsewhere, whatever Gradio's page or a model's answer asks for."""


class Guard:
    """Answers only to this machine's names, since a page elsewhere could point a name of its own
    here; adds POLICY."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        host = dict(scope["headers"]).get(b"host", b"").rpartition(b":")[0] or dict(
            scope["headers"]
        ).get(b"host", b"")
        if host not in NAMES:
            await send(
                {
                    "type": "http.response.start",
                    "status": 421,
                    "headers": [(b"content-type", b"text/plain")],
                }
            )
            await send({"type": "http.response.body", "body": b"this page is for this machine"})
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                added = [
                    (b"content-security-policy", POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                ]
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        await self._app(scope, receive, guarded)


@contextlib.contextmanager
def running(blocks: Blocks, appearance: dict[str, Any], port: int) -> Iterator[str]:
    """The page's URL, while the block lasts.

    Raises:
        EnvironmentFailure: the port is taken, or the page does not start.
    """
    app = mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        blocks,
        "",
        server_name="127.0.0.1",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        max_file_size="20mb",
        **appearance,
    )
    listener = _listen(port)
    config = uvicorn.Config(
        Guard(app),
        log_config=None,
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=1,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="demo-page", daemon=True
    )
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise EnvironmentFailure("the demo's page did not start", "see the log above")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port), backlog=128)
    except OSError as error:
        raise EnvironmentFailure(
            f"cannot listen on port {port}: {error.strerror}", "choose another --port"
        ) from None
