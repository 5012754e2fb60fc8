"""One connection: who may ask, what is asked, and how the answer is written."""

from __future__ import annotations

import contextlib
import hmac
import json
import queue
import select
import socket
import time
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from hubkit.sdk import json_text

from .errors import Refusal
from .generator import Ended, Job
from .replies import chunk, completion, models, usage_chunk
from .requests import Chat, read_chat
from .service import Service

MOST_BYTES = 64 << 20
SECONDS_BETWEEN_LOOKS = 0.2


class ClientGone(ConnectionError):
    """Nobody waits for the answer any more."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "hubkit"
    sys_version = ""
    timeout = 60
    server: Service

    def do_GET(self) -> None:
        self._answer({"/health": self._health, "/v1/models": self._models})

    def do_POST(self) -> None:
        self._answer({"/v1/chat/completions": self._chat})

    def _answer(self, routes: dict[str, Any]) -> None:
        path = self.path.partition("?")[0]
        try:
            self._check_host()
            if path != "/health":
                self._check_key()
            if path not in routes:
                raise Refusal(
                    f"there is no {self.command} {path} here", status=HTTPStatus.NOT_FOUND
                )
            routes[path]()
        except Refusal as refusal:
            self._json(refusal.to_json(), refusal.status)

    def _check_host(self) -> None:
        """A page elsewhere can point a name of its own at this machine; then Host has that name."""
        name = self.headers.get("Host", "").strip().lower()
        name = name.rpartition(":")[0] if name.rpartition(":")[2].isdigit() else name
        if self.server.names and name not in self.server.names:
            raise Refusal(
                f"this server does not answer to {name!r}", status=HTTPStatus.MISDIRECTED_REQUEST
            )

    def _check_key(self) -> None:
        given = self.headers.get("Authorization", "")
        if self.server.key and not hmac.compare_digest(
            given.encode(), f"Bearer {self.server.key}".encode()
        ):
            raise Refusal(
                "the API key is missing or wrong: send `Authorization: Bearer KEY`",
                status=HTTPStatus.UNAUTHORIZED,
                code="invalid_api_key",
            )

    def _health(self) -> None:
        self._json({"status": "ok"})

    def _models(self) -> None:
        self._json(models(self.server.name))

    def _chat(self) -> None:
        chat = read_chat(self._body(), self.server.name, self.server.generator.see)
        job = self.server.generator.submit(chat)
        identifier, created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
        try:
            pieces = self._pieces(job)
            if chat.stream:
                self._stream(chat, pieces, identifier, created)
            else:
                *texts, ended = pieces
                self._json(
                    completion(
                        self.server.name, identifier, created, "".join(map(str, texts)), ended
                    )
                )
        finally:
            job.cancelled.set()

    def _pieces(self, job: Job) -> Iterator[Any]:
        """The job's texts and its Ended, while the client is there. Raises Refusal or
        ClientGone."""
        while True:
            try:
                piece = job.pieces.get(timeout=SECONDS_BETWEEN_LOOKS)
            except queue.Empty:
                piece = None
            if isinstance(piece, Refusal):
                raise piece
            if piece is not None:
                yield piece
            if isinstance(piece, Ended):
                return
            if self._client_is_gone():
                raise ClientGone

    def _client_is_gone(self) -> bool:
        if not select.select([self.connection], [], [], 0)[0]:
            return False
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _stream(self, chat: Chat, pieces: Iterator[Any], identifier: str, created: int) -> None:
        """Server-sent events; the status waits for the first piece, so that a refusal can still
        have its own."""
        first = next(pieces)
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Connection", "close")
        self.end_headers()
        name = self.server.name
        self._event(chunk(name, identifier, created, {"role": "assistant", "content": ""}))
        piece = first
        try:
            while not isinstance(piece, Ended):
                self._event(chunk(name, identifier, created, {"content": piece}))
                piece = next(pieces)
        except Refusal as refusal:
            self._event(refusal.to_json())
            return
        self._event(chunk(name, identifier, created, {}, piece.finish))
        if chat.include_usage:
            self._event(usage_chunk(name, identifier, created, piece))
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, data: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n")

    def _body(self) -> Any:
        """The request's JSON. Only this content type: a page elsewhere cannot send it without
        asking first."""
        if self.headers.get_content_type() != "application/json":
            raise Refusal(
                "send Content-Type: application/json", status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE
            )
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Refusal("send a Content-Length", status=HTTPStatus.LENGTH_REQUIRED)
        if int(length) > MOST_BYTES:
            raise Refusal(
                f"the request has more than {MOST_BYTES >> 20} MiB",
                status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )
        data = self.rfile.read(int(length))
        try:
            return json_text.parse(data)
        except ValueError as error:
            raise Refusal(f"the body is not JSON: {error}") from None

    def _json(self, data: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        """A refusal closes the connection: the request's body may not have been read."""
        body = json.dumps(data, ensure_ascii=False).encode()
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            if status != HTTPStatus.OK:
                self.close_connection = True
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """No line for each request."""
