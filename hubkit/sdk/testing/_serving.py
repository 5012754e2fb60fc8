"""The life of an engine's optional `serve`."""

from __future__ import annotations

import base64
import http.client
import json
import struct
import threading
import time
import zlib
from collections.abc import Mapping
from typing import Any

from ..engine import ServeInput, ServeOutput, ServingEngine
from ..errors import CancelledError
from ._base import (
    ConformanceError,
    WatchedRun,
    as_a_worker_gets_it,
    check_contract,
    check_travels,
    require,
)

SECONDS_TO_START = 900.0
SECONDS_TO_STOP = 60.0
QUESTION = "Which digit? 哪个数字？"


def check_serving(plugin: ServingEngine, job: ServeInput) -> ServeOutput:
    """Serves `job`, asks as clients of OpenAI's API do (a text, a picture, a stream, without the
    key) and stops the server."""
    check_contract(plugin, "engine")
    with _Server(plugin, as_a_worker_gets_it(plugin, job)) as server:
        server.wait()
        if job.api_key_file is not None:
            require(
                server.models("")[0] == 401,
                "a request without the API key must be answered with 401",
            )
        text = server.says(QUESTION)
        require(
            server.says(QUESTION) == text, "the same question got two answers with `temperature` 0"
        )
        picture = {
            "type": "image_url",
            "image_url": {"url": "data:image/png;base64," + base64.b64encode(_png()).decode()},
        }
        server.says([picture, {"type": "text", "text": QUESTION}])
        require(
            server.streams(QUESTION) == text,
            "a streamed answer must be the text that is answered without `stream`",
        )
    check_travels(server.output, ServeOutput)
    require(
        server.models("")[0] == 0, "`serve` has returned, and something answers on its port still"
    )
    output: ServeOutput = server.output
    return output


class _Server:
    """`serve` in a thread; the block's end cancels it and waits until it has returned."""

    def __init__(self, plugin: ServingEngine, job: ServeInput) -> None:
        self.output: Any = None
        self._error: BaseException | None = None
        self._job, self._run = job, _Stoppable()
        self._key = "" if job.api_key_file is None else job.api_key_file.read_text("utf-8").strip()
        self._thread = threading.Thread(
            target=self._serve, args=(plugin,), name="serving", daemon=True
        )

    def _serve(self, plugin: ServingEngine) -> None:
        try:
            self.output = plugin.serve(self._job, self._run)
        except BaseException as error:
            self._error = error

    def __enter__(self) -> _Server:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._run.stopped.set()
        self._thread.join(SECONDS_TO_STOP)
        if kind is None and self._error is not None:
            raise self._error
        running = self._thread.is_alive()
        require(
            kind is not None or not running,
            f"`serve` went on for {SECONDS_TO_STOP:g} s after it was cancelled",
        )

    def wait(self) -> None:
        """Until the model is listed under its name."""
        end = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < end:
            self._check_runs()
            status, answer = self.models(self._key)
            if status == 200:
                names = [model["id"] for model in json.loads(answer)["data"]]
                require(
                    self._job.name in names, f"/v1/models lists {names}, not {self._job.name!r}"
                )
                return
            time.sleep(0.1)
        raise ConformanceError(f"/v1/models did not answer within {SECONDS_TO_START:g} s")

    def _check_runs(self) -> None:
        if not self._thread.is_alive() and not self._run.stopped.is_set():
            raise self._error or ConformanceError(
                f"`serve` returned {self.output!r} before it was cancelled"
            )

    def models(self, key: str) -> tuple[int, bytes]:
        return self._ask("GET", "/v1/models", None, key)

    def says(self, content: Any) -> str:
        choice = json.loads(self._chat(content, stream=False))["choices"][0]
        require(
            choice["finish_reason"] in ("stop", "length"),
            f"finish_reason is {choice['finish_reason']!r}",
        )
        require(
            isinstance(choice["message"]["content"], str),
            f"the answer is {choice['message']!r}, not a text",
        )
        return str(choice["message"]["content"])

    def streams(self, content: str) -> str:
        lines = self._chat(content, stream=True).decode("utf-8").splitlines()
        events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        require(
            events and events[-1] == "[DONE]",
            f"a stream must end with `data: [DONE]`: {lines[-3:]}",
        )
        choices = [choice for event in events[:-1] for choice in json.loads(event)["choices"]]
        return "".join(choice["delta"].get("content") or "" for choice in choices)

    def _chat(self, content: Any, *, stream: bool) -> bytes:
        messages = [{"role": "user", "content": content}]
        body = {
            "model": self._job.name,
            "messages": messages,
            "max_tokens": 8,
            "temperature": 0,
            "stream": stream,
        }
        status, answer = self._ask("POST", "/v1/chat/completions", body, self._key)
        require(status == 200, f"/v1/chat/completions answered {status}: {answer[:500]!r}")
        return answer

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, key: str
    ) -> tuple[int, bytes]:
        """Status and body; status 0 while nobody listens."""
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {key}"} if key else {}
        )
        connection = http.client.HTTPConnection(self._job.host, self._job.port, timeout=300)
        try:
            connection.request(
                method, path, None if body is None else json.dumps(body).encode(), headers
            )
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (ConnectionError, http.client.BadStatusLine):
            self._thread.join(0.2)
            self._check_runs()
            return 0, b""
        finally:
            connection.close()


class _Stoppable(WatchedRun):
    def __init__(self) -> None:
        super().__init__()
        self.stopped = threading.Event()

    def check_cancelled(self) -> None:
        if self.stopped.is_set():
            raise CancelledError("the server was asked to stop", "none needed")


def _png(side: int = 56) -> bytes:
    """An orange square."""
    rows = (b"\0" + b"\xff\x80\x00" * side) * side
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
