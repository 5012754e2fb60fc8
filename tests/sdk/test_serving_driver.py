"""The driver of `serve`: it passes a small honest server and names what others do wrong."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hubkit.authoring import fixtures
from hubkit.sdk import CancelledError, EnvironmentFailure, ServeInput, ServeOutput
from hubkit.sdk.testing import ConformanceError, check_serving

from .frozen.hubkit_frozen_1_0 import Echo


class Serving(Echo):
    """Says how many letters it was asked."""

    listed, word, keyed = "InternVL2-Check", "letters", True

    def serve(self, job: ServeInput, run: Any) -> Any:
        assert job.api_key_file is not None
        engine, bearer = self, f"Bearer {job.api_key_file.read_text()}"

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply({"data": [{"id": engine.listed}]})

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = f"{len(json.dumps(asked['messages']))} letters"
                if not asked["stream"]:
                    self.reply(
                        {"choices": [{"finish_reason": "stop", "message": {"content": text}}]}
                    )
                    return
                text = text.replace("letters", engine.word)
                events = [
                    json.dumps({"choices": [{"delta": {"content": part}}]})
                    for part in (text[:2], text[2:])
                ]
                self.send("".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode())

            def reply(self, answer: Any) -> None:
                allowed = not engine.keyed or self.headers.get("Authorization") == bearer
                self.send(json.dumps(answer).encode(), 200 if allowed else 401)

            def send(self, body: bytes, status: int = 200) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return None

        with ThreadingHTTPServer((job.host, job.port), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                self.until_cancelled(run)
            finally:
                server.shutdown()
                thread.join()
        return self.last_word()

    def until_cancelled(self, run: Any) -> None:
        try:
            while True:
                run.check_cancelled()
                time.sleep(0.02)
        except CancelledError:
            return

    def last_word(self) -> Any:
        return ServeOutput(requests=4)


class OtherName(Serving):
    listed = "model"


class Open(Serving):
    keyed = False


class Faltering(Serving):
    word = "words"


class Untyped(Serving):
    def last_word(self) -> Any:
        return {"requests": 4}


class Short(Serving):
    def until_cancelled(self, run: Any) -> None:
        return


class Deaf(Serving):
    def until_cancelled(self, run: Any) -> None:
        time.sleep(4)


class Helpless(Serving):
    def serve(self, job: ServeInput, run: Any) -> Any:
        raise EnvironmentFailure("no GPU", "run it where there is one")


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServeInput:
    monkeypatch.setattr("hubkit.sdk.testing._serving.SECONDS_TO_STOP", 1.0)
    return fixtures.serving(tmp_path, {})


def test_an_honest_server(job: ServeInput) -> None:
    assert check_serving(Serving(), job).requests == 4


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (OtherName(), "/v1/models lists ['model'], not 'InternVL2-Check'"),
        (Open(), "a request without the API key must be answered with 401"),
        (Faltering(), "a streamed answer must be the text that is answered without `stream`"),
        (Untyped(), "returned dict, the contract says ServeOutput"),
        (Short(), "before it was cancelled"),
        (Deaf(), "`serve` went on for 1 s after it was cancelled"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_server_that_breaks_its_contract(job: ServeInput, plugin: Any, says: str) -> None:
    with pytest.raises(ConformanceError) as error:
        check_serving(plugin, job)
    assert says in str(error.value)


def test_what_the_server_raises_passes_through(job: ServeInput) -> None:
    with pytest.raises(EnvironmentFailure, match="no GPU"):
        check_serving(Helpless(), job)
