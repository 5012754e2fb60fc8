"""A server that misbehaves on demand, and what an engine is given to ask it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hubkit.sdk import GenerateInput, Record, Server, Turn, Vision, write_jsonl

READ, PARITY = Turn("<image>\nWhich digit is this?", ""), Turn("Is it even or odd?", "")


class Odd:
    """A server of OpenAI's API: `behave(body, number of the request)` gives (status, reply,
    headers)."""

    def __init__(self, name: str) -> None:
        self.names, self.bodies, self.keys = [name], [], []
        self.behave: Callable[[Any, int], Any] = lambda body, number: (200, self.says("7"), {})
        self.at_once = self.most_at_once = 0
        self._lock, owner = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                return None

            def do_GET(self) -> None:
                rows = [{"id": name, "owned_by": "odd \x1b[1mserver"} for name in owner.names]
                self._send(200, {"data": rows}, {})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with owner._lock:
                    owner.bodies.append(body)
                    owner.keys.append(self.headers.get("Authorization", ""))
                    number = len(owner.bodies)
                    owner.at_once += 1
                    owner.most_at_once = max(owner.most_at_once, owner.at_once)
                try:
                    reply = owner.behave(body, number)
                finally:  # before the reply, after which the client asks again
                    with owner._lock:
                        owner.at_once -= 1
                self._send(*reply)

            def _send(self, status: int, reply: Any, headers: dict[str, str]) -> None:
                content = json.dumps(reply).encode()
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def says(self, text: str, finish: str = "stop", model: str = "") -> dict[str, Any]:
        return {
            "model": model or self.names[0],
            "choices": [{"message": {"content": text}, "finish_reason": finish}],
            "usage": {"completion_tokens": 1, "total_tokens": 9},
        }


@pytest.fixture
def odd(base: Path) -> Iterator[Odd]:
    server = Odd(base.name)
    thread = threading.Thread(target=server.http.serve_forever, daemon=True)
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def records() -> list[Record]:
    return [
        *(
            Record(f"d{digit}", (f"{digit}.png",), (READ, PARITY) if digit % 3 == 0 else (READ,))
            for digit in range(10)
        ),
        Record("text", (), (Turn("Spell it.", ""),)),
    ]


@pytest.fixture
def job(
    base: Path, vision: Vision, images: Path, tmp_path: Path, records: list[Record]
) -> Callable[..., GenerateInput]:
    def build(
        url: str, chosen: list[Record] | None = None, key: str = "", **options: Any
    ) -> GenerateInput:
        output, path, file = tmp_path / "out", tmp_path / "records.jsonl", None
        output.mkdir(exist_ok=True)
        write_jsonl(path, records if chosen is None else chosen)
        if key:
            file = tmp_path / "key"
            file.write_text(key)
        server = Server(url, file)
        return GenerateInput(base, base, vision, path, images, output, 8, options, server)

    return build
