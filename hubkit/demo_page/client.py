"""One streamed answer from an OpenAI-compatible server, by what every such server has."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from ..inference.serving import Serving
from ..sdk import json_text
from ..sdk.chat_api import error_of

SECONDS_WITHOUT_A_WORD = 600.0
LONGEST_LINE = 1 << 20


class Answer(threading.Thread):
    """Grows in `text` until `done`; `error` says what the server said, or how it failed. `close`
    ends it early, and the server notices that its client has gone."""

    def __init__(
        self, server: Serving, messages: Sequence[Any], tokens: int, temperature: float
    ) -> None:
        super().__init__(name=f"answer of {server.name}", daemon=True)
        self.text, self.error, self.done = "", "", False
        place = urlsplit(server.url)
        secure = place.scheme == "https"
        connection = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = connection(
            str(place.hostname), place.port, timeout=SECONDS_WITHOUT_A_WORD
        )
        self._path = f"{server.path}/chat/completions"
        self._headers = {"Content-Type": "application/json"}
        if server.api_key:
            self._headers["Authorization"] = f"Bearer {server.api_key}"
        self._body = {
            "model": server.name,
            "messages": list(messages),
            "stream": True,
            "max_tokens": tokens,
            "temperature": temperature,
        }
        self._closed = False

    def run(self) -> None:
        try:
            for piece in self._pieces():
                self.text += piece
        except (
            OSError,
            http.client.HTTPException,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
        ) as error:
            self.error = "" if self._closed else self.error or f"{type(error).__name__}: {error}"
        finally:
            self._connection.close()
            self.done = True

    def close(self) -> None:
        self._closed = True
        if self._connection.sock is not None:
            with contextlib.suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)

    def _pieces(self) -> Iterator[str]:
        self._connection.request("POST", self._path, json.dumps(self._body), self._headers)
        answer = self._connection.getresponse()
        if answer.status != 200:
            self.error = (
                error_of(answer.read(LONGEST_LINE)) or f"HTTP {answer.status} {answer.reason}"
            )
            return
        while line := answer.readline(LONGEST_LINE):
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == b"[DONE]":
                return
            event = json_text.parse(data)
            if "error" in event:
                self.error = error_of(data)
                return
            for choice in event["choices"]:
                yield choice["delta"].get("content") or ""
        if not self._closed:
            self.error = "the server ended its answer early"
