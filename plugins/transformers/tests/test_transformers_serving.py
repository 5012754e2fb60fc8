"""The server on the tiny base, over real HTTP: what it answers, what it refuses, who waits and who
leaves."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import shutil
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hubkit_transformers import TransformersEngine
from hubkit_transformers.serving.growing import GrowingText

from hubkit.sdk import (
    CancelledError,
    EnvironmentFailure,
    Record,
    ServeInput,
    ServeOutput,
    SilentRun,
    Turn,
    Vision,
    read_answers,
)

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.xdist_group("serving")
KEY = "a-key-of-the-test"
READ, PARITY = "Which digit is this?", "Is it even or odd?"


class Stoppable(SilentRun):
    def __init__(self) -> None:
        self.stop = threading.Event()

    def check_cancelled(self) -> None:
        if self.stop.is_set():
            raise CancelledError("stop", "")


class Client:
    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        given = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **headers}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(
                method,
                path,
                body if isinstance(body, (bytes, type(None))) else json.dumps(body),
                given,
            )
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def chat(self, *messages: Any, **fields: Any) -> tuple[int, Any]:
        status, text = self.ask(
            "POST", "/v1/chat/completions", {"model": "tiny", "messages": list(messages), **fields}
        )
        return status, json.loads(text) if not fields.get("stream") or status != 200 else events(
            text
        )

    def said(self, *messages: Any, **fields: Any) -> str:
        status, answer = self.chat(*messages, **fields)
        assert status == 200, answer
        return str(answer["choices"][0]["message"]["content"])


def events(text: str) -> list[Any]:
    *lines, last = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert last == "[DONE]"
    return [json.loads(line) for line in lines]


def user(text: str, *pictures: str) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in pictures]
    return {"role": "user", "content": [{"type": "text", "text": text}, *parts]}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def data_url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


@pytest.fixture(scope="module")
def picture(images: Path) -> Any:
    return lambda name: data_url((images / f"{name}.png").read_bytes())


@contextlib.contextmanager
def serving(
    base: Path, native: Path, vision: Vision, folder: Path
) -> Iterator[tuple[Client, ServeInput, Stoppable]]:
    """The server in a thread; at the end its port must be closed again."""
    (folder / "key").write_text(f"{KEY}\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    job = ServeInput(
        base, native, vision, "tiny", "127.0.0.1", port, folder, {"threads": 1}, folder / "key"
    )
    run = Stoppable()
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(TransformersEngine().serve, job, run)
        try:
            while not result.done():
                with contextlib.suppress(OSError):
                    if Client(port).ask("GET", "/health")[0] == 200:
                        break
                time.sleep(0.05)
            yield Client(port), job, run
        finally:
            run.stop.set()
        assert isinstance(result.result(timeout=20), ServeOutput)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@pytest.fixture(scope="module")
def served(
    base: Path, native: Path, vision: Vision, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    with serving(base, native, vision, tmp_path_factory.mktemp("serving")) as found:
        yield found


@pytest.fixture
def endless(base: Path, native: Path, vision: Vision, tmp_path: Path) -> Iterator[Any]:
    """A model whose configuration names another end than the one it learnt: it speaks until
    max_tokens."""
    model = Path(shutil.copytree(base, tmp_path / "model"))
    (model / "generation_config.json").write_text('{"eos_token_id": [0]}')
    with serving(model, native, vision, tmp_path) as found:
        yield found


@pytest.fixture
def client(served: tuple[Client, ServeInput, Stoppable]) -> Client:
    return served[0]


def test_models_and_health(client):
    assert json.loads(client.ask("GET", "/v1/models")[1])["data"][0]["id"] == "tiny"
    assert client.ask("GET", "/health", Authorization="") == (200, '{"status": "ok"}')


def test_reads_pictures_as_the_engine_does(client, picture, job):
    """Over two turns, wide pictures and several, the server says what `generate` says of the same
    records."""
    talks = {
        "7": [("<image>\n" + READ, [picture(7)]), (PARITY, [])],
        "wide": [("<image>\n" + READ, [picture("wide")])],
        "pair": [
            ("<image>\nWhat is in this picture?", [picture(1)]),
            ("And this? <image>", [picture(2)]),
        ],
        "text": [("Spell it.", [])],
    }
    names = {"7": ("7.png",), "wide": ("wide.png",), "pair": ("1.png", "2.png"), "text": ()}
    records = [
        Record(name, names[name], tuple(Turn(text, "") for text, _ in turns))
        for name, turns in talks.items()
    ]
    given = job(records, batch_size=1, tokens=8)
    output = TransformersEngine().generate(given, SilentRun())
    expected = {answer.id: answer.texts for answer in read_answers(given.output / output.answers)}
    for name, turns in talks.items():
        messages: list[Any] = []
        for (text, urls), wanted in zip(turns, expected[name], strict=True):
            unmarked = (
                text.removeprefix("<image>\n") if urls and text.startswith("<image>\n") else text
            )
            messages.append(user(unmarked, *urls))
            assert client.said(*messages, max_tokens=8) == wanted, name
            messages.append(assistant(wanted))
    assert expected["7"] == ("7", "odd")


def test_streaming_gives_the_same_text_and_counts(client, picture):
    whole = client.chat(user("Spell it.", picture(3)), max_tokens=8)[1]
    _, parts = client.chat(
        user("Spell it.", picture(3)),
        max_tokens=8,
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last = parts
    assert (
        "".join(one["choices"][0]["delta"].get("content", "") for one in chunks)
        == whole["choices"][0]["message"]["content"]
    )
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant" and {
        one["id"] for one in parts
    } == {last["id"]}
    assert (
        chunks[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"] == "stop"
    )
    assert (last["choices"], last["usage"]) == ([], whole["usage"])


def test_length_stop_and_sampling(client, picture):
    asked = user(READ, picture(7))
    _, answer = client.chat(asked, max_tokens=1)
    assert (answer["choices"][0]["finish_reason"], answer["usage"]["completion_tokens"]) == (
        "length",
        1,
    )
    _, answer = client.chat(asked, stop=["7"])
    assert (answer["choices"][0]["message"]["content"], answer["choices"][0]["finish_reason"]) == (
        "",
        "stop",
    )
    drawn = {client.said(asked, temperature=2, seed=seed, max_tokens=3) for seed in range(6)}
    assert len(drawn) > 1
    assert len({client.said(asked, temperature=2, seed=4, max_tokens=3) for _ in range(3)}) == 1
    assert (
        client.said(asked, temperature=2, top_p=1e-6, max_tokens=8)
        == client.said(asked, max_tokens=8)
        == "7"
    )


def test_system_message_stands_before_the_conversation(client):
    plain, led = (
        client.chat(*lead, user("Spell it."))[1]
        for lead in ([], [{"role": "system", "content": "Spell it."}])
    )
    assert led["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"]


def bomb() -> bytes:
    """A PNG of 10,000 x 10,000 pixels in few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def gradient() -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.linear_gradient("L").save(out, "PNG")
    return data_url(out.getvalue()[:200])


BAD_PICTURES = {
    "https://example.invalid/a.png": "fetches no pictures",
    "file:///etc/passwd": "fetches no pictures",
    "data:text/plain;base64,aGk=": "fetches no pictures",
    "data:image/png,abc": "must be of the form",
    "data:image/png;base64,a$b=": "not base64",
    data_url(b"no picture"): "not a picture",
    data_url(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"): "not a picture",
    data_url(bomb()): "10000 x 10000 pixels",
    gradient(): "not a picture",
    data_url(bytes(21 << 20)): "more than 20 MiB",
}


@pytest.mark.parametrize("url", BAD_PICTURES, ids=list(BAD_PICTURES.values()))
def test_bad_pictures_are_refused(client, url):
    status, answer = client.chat(user(READ, url))
    assert status == 400 and BAD_PICTURES[url] in answer["error"]["message"]
    assert answer["error"]["param"] == "messages[0].content[1].image_url"


SAY = [{"role": "user", "content": "Spell it."}]
BAD_REQUESTS = [
    ({"messages": []}, "messages", "at least one"),
    ({"messages": [assistant("hi")]}, "messages[0]", "take turns"),
    ({"messages": SAY * 2}, "messages[1]", "take turns"),
    ({"messages": [*SAY, assistant("five")]}, "messages", "the user's"),
    (
        {"messages": [{"role": "user", "content": "<image> what?"}]},
        "messages[0]",
        "0 pictures and 1 <image>",
    ),
    ({"messages": [{"role": "user", "content": "<IMG_CONTEXT>"}]}, "messages", "image token"),
    (
        {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
        "messages[0].content[0]",
        "type text or image_url",
    ),
    ({"messages": SAY, "model": "other"}, "model", "only 'tiny'"),
    ({"messages": SAY, "n": 2}, "n", "not supported"),
    ({"messages": SAY, "beams": 2}, "beams", "no field"),
    ({"messages": SAY, "temperature": 3}, "temperature", "from 0 to 2"),
    ({"messages": SAY, "max_tokens": 0}, "max_tokens", "an integer from 1"),
    ({"messages": SAY, "max_tokens": 5000}, "messages", "context 2048"),
    ({"messages": SAY, "stream": 1}, "stream", "true or false"),
    ({"messages": SAY, "stop": [""]}, "stop", "list of up to"),
]


@pytest.mark.parametrize(
    ("fields", "param", "text"), BAD_REQUESTS, ids=[text for *_, text in BAD_REQUESTS]
)
def test_bad_requests_name_the_field(client, fields, param, text):
    status, answer = client.ask("POST", "/v1/chat/completions", {"model": "tiny", **fields})
    error = json.loads(answer)["error"]
    assert (status, error["param"], error["type"]) == (
        400,
        param,
        "invalid_request_error",
    ) and text in error["message"]


def test_neutral_fields_are_taken(client):
    assert client.said(
        *SAY, n=1, presence_penalty=0, logprobs=False, tools=None, user="me"
    ) == client.said(*SAY)


def test_too_many_pictures(client, picture):
    status, answer = client.chat(user(READ, *[picture(1)] * 17))
    assert (status, answer["error"]["message"]) == (
        400,
        "more than 16 pictures in one conversation",
    )


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Authorization": ""}, {}, 401),
        ({"Authorization": "Bearer wrong"}, {}, 401),
        ({"Content-Type": "text/plain"}, {}, 415),
        ({"Host": "evil.example:80"}, {}, 421),
        ({"Content-Length": "99999999999"}, b"", 413),
        ({}, b"{not json", 400),
        ({}, b"\xff\xfe", 400),
        ({}, b"[" * 100_000, 400),
        ({}, b"[]", 400),
    ],
)
def test_who_may_ask_and_how(client, headers, body, status):
    found, text = client.ask("POST", "/v1/chat/completions", body, **headers)
    assert found == status and json.loads(text)["error"]["message"]


def test_unknown_paths(client):
    assert [client.ask("GET", path)[0] for path in ("/", "/v1/chat/completions", "/v1/../etc")] == [
        404
    ] * 3


def test_answers_wait_for_one_another(client, picture):
    """Twelve at once get what each gets alone."""
    alone = [client.said(user(READ, picture(digit)), max_tokens=4) for digit in range(6)]
    with ThreadPoolExecutor(12) as pool:
        together = list(
            pool.map(
                lambda digit: client.said(user(READ, picture(digit)), max_tokens=4),
                [*range(6), *range(6)],
            )
        )
    assert together == alone * 2
    assert sum(said == str(digit) for digit, said in enumerate(alone)) >= 4


def test_a_client_that_leaves_ends_its_answer(endless):
    """Who comes next need not wait for the rest of an answer, nor for those who left while they
    waited."""
    client, *_ = endless
    body = json.dumps({"model": "tiny", "messages": SAY, "max_tokens": 1900, "stream": True})
    lines = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
    )
    request = f"{lines}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    connections = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(20)]
    for connection in connections:
        connection.sendall(request.encode())
    began = [connections[0].recv(1 << 16) for _ in range(3)]
    assert began[0].startswith(b"HTTP/1.1 200") and all(began), "the first is being answered"
    for connection in connections:
        connection.close()
    started = time.monotonic()
    status, answer = client.chat(*SAY, max_tokens=1)
    assert (status, answer["usage"]["completion_tokens"]) == (200, 1)
    assert time.monotonic() - started < 10, "twenty answers of 1,900 tokens take minutes"


def test_a_server_that_stops_says_so(endless):
    client, _, run = endless
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(client.chat, *SAY, max_tokens=1900) for _ in range(2)]
        time.sleep(0.5)
        run.stop.set()
        assert [
            (status, said["error"]["message"])
            for status, said in (one.result(20) for one in answers)
        ] == [(503, "the server is stopping")] * 2


def test_a_taken_port_is_named(served, tmp_path):
    _, job, _ = served
    with pytest.raises(EnvironmentFailure, match=f"cannot listen on 127.0.0.1 port {job.port}"):
        TransformersEngine().serve(job, Stoppable())


class Words:
    """A tokenizer of which each token is a text, as decoders join them."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        return "".join(self.texts[number] for number in ids)


@pytest.mark.parametrize(
    ("texts", "stops", "told"),
    [
        ((" a", " b", " "), (), ["a", " b", "", ""]),
        (("a", "\n", "\n", "b"), (), ["a", "", "", "\n\nb", ""]),
        (("a", "En", "d", "b"), ("End",), ["a", "", "", ""]),
        (("a", "En", "cy"), ("End",), ["a", "", "Ency", ""]),
        (("a", "E"), ("End",), ["a", "", "E"]),
        (("ca\ufffd",), (), ["ca", "\ufffd"]),
    ],
)
def test_growing_text(texts, stops, told):
    """What is told is never taken back, and holds no part of a stop."""
    text, said = GrowingText(Words(*texts), stops), []
    for number in range(len(texts)):
        said.append(text.add(number))
        if text.stopped:
            break
    assert [*said, text.end()] == told
