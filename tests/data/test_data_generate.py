"""Questions made by a vision endpoint: a local server that speaks the API and misbehaves on
demand."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import hubkit
from hubkit.data import generate as module
from hubkit.data.generate import Endpoint, Generated, Making, generate, parse
from hubkit.errors import DataError, EnvironmentFailure, RemoteError, UsageError

KEY = "sk-secretsecretsecret"
Behave = Callable[["Server", str, str], "tuple[int, Any]"]


def good(server: Server, prompt: str, digest: str) -> tuple[int, Any]:
    rounds = 3 if "3 questions" in prompt else 1
    reply = [
        {"question": f"Question {n} of {digest[:6]}?", "answer": f"answer <b>{n}</b>"}
        for n in range(rounds)
    ]
    return 200, json.dumps(reply)


class Server:
    """An endpoint; `behave` says what it answers to a prompt and a picture's digest."""

    def __init__(self) -> None:
        self.behave: Behave = good
        self.models = ["tiny-vl"]
        self.prompts: list[str] = []
        self.pictures: list[str] = []
        self.keys: set[str] = set()
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                return None

            def do_GET(self) -> None:
                self._send(200, {"data": [{"id": name} for name in owner.models]})

            def do_POST(self) -> None:
                with owner.lock:
                    owner.at_once += 1
                    owner.most_at_once = max(owner.most_at_once, owner.at_once)
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text, image = body["messages"][0]["content"]
                data = base64.b64decode(image["image_url"]["url"].partition("base64,")[2])
                digest = hashlib.sha256(data).hexdigest()
                with owner.lock:
                    owner.prompts.append(text["text"])
                    owner.pictures.append(digest)
                    owner.keys.add(self.headers.get("Authorization", ""))
                status, reply = owner.behave(owner, text["text"], digest)
                if status == 200 and isinstance(reply, str):
                    reply = {
                        "choices": [{"message": {"content": reply}}],
                        "usage": {"total_tokens": 100},
                    }
                with owner.lock:
                    owner.at_once -= 1
                self._send(status, reply)

            def _send(self, status: int, reply: Any) -> None:
                content = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
                self.send_response(status)
                if status in (301, 302, 307):
                    self.send_header("Location", reply)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = Server()
    threading.Thread(target=running.http.serve_forever, daemon=True).start()
    yield running
    running.http.shutdown()
    running.http.server_close()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number in range(6):
        Image.new("RGB", (24, 24), (40 * number, 0, 0)).save(
            folder / ("more" if number > 3 else "") / f"{number}.png"
        )
    return folder


def made(images: Path, out: Path, server: Server, **settings: Any) -> Generated:
    return generate(images, out, Endpoint(server.url), Making(**settings))


def test_records_a_review_sheet_and_terms(tmp_path: Path, images: Path, server: Server) -> None:
    def slowly(server: Server, prompt: str, digest: str) -> tuple[int, Any]:
        time.sleep(0.1)
        return good(server, prompt, digest)

    server.behave = slowly
    done = made(images, tmp_path / "out", server)
    assert (done.images, done.records, done.requests, done.tokens, done.ended, done.failed) == (
        6,
        6,
        6,
        600,
        "",
        {},
    )
    written = [
        json.loads(line)
        for line in (tmp_path / "out" / "train.jsonl").read_text("utf-8").splitlines()
    ]
    assert [one["image"] for one in written] == [
        "0.png",
        "1.png",
        "2.png",
        "3.png",
        "more/4.png",
        "more/5.png",
    ]
    digest = hashlib.sha256((images / "2.png").read_bytes()).hexdigest()[:6]
    assert written[2]["conversations"][:3] == [
        {"from": "human", "value": f"<image>\nQuestion 0 of {digest}?"},
        {"from": "gpt", "value": "answer <b>0</b>"},
        {"from": "human", "value": f"Question 1 of {digest}?"},
    ]
    page = (tmp_path / "out" / "review.html").read_text("utf-8")
    assert (
        page.count("<article>") == 6 == page.count("data:image/jpeg")
        and "answer &lt;b&gt;0" in page
        and "<b>0</b>" not in page
    )
    checked = hubkit.prepare(
        tmp_path / "out" / "train.jsonl", None, hubkit.PrepareSettings(images=images)
    )
    assert checked.report.records == 6 and "generated by tiny-vl" in checked.terms.notes[0]
    assert 1 < server.most_at_once <= 4


def test_unsound_replies_are_asked_for_again(tmp_path: Path, images: Path, server: Server) -> None:
    seen: dict[str, int] = {}

    def behave(server: Server, prompt: str, digest: str) -> tuple[int, Any]:
        with server.lock:
            seen[digest] = seen.get(digest, 0) + 1
        sick = hashlib.sha256((images / "1.png").read_bytes()).hexdigest()
        if digest == sick:
            return 200, "I cannot see anything."
        first = [
            (200, "no JSON"),
            (503, "busy"),
            (200, "[]"),
            (200, '[{"question": "", "answer": "x"}]'),
        ]
        answer = json.loads(good(server, prompt, digest)[1])
        return (
            first[int(digest, 16) % 4]
            if seen[digest] == 1
            else (200, f"```json\n{json.dumps(answer)}\n```")
        )

    server.behave = behave
    done = made(images, tmp_path / "out", server)
    assert (done.records, done.requests) == (5, 13)
    assert (
        list(done.failed) == ["1.png"]
        and "no sound reply in 3 attempts: it is not JSON" in done.failed["1.png"]
    )
    assert any("Your last reply could not be used" in prompt for prompt in server.prompts)
    assert "no sound reply" in (tmp_path / "out" / "review.html").read_text("utf-8")


def test_a_limit_ends_it_and_the_same_call_continues(
    tmp_path: Path, images: Path, server: Server
) -> None:
    first = made(images, tmp_path / "out", server, max_requests=2)
    assert (first.records, first.requests, first.ended) == (2, 2, "max_requests")
    second = made(images, tmp_path / "out", server, max_tokens=150, concurrency=1)
    assert (second.records, second.requests, second.ended) == (4, 2, "max_tokens")
    last = made(images, tmp_path / "out", server)
    assert (last.records, last.requests, last.ended) == (6, 2, "")
    assert len(server.pictures) == len(set(server.pictures)) == 6
    made(images, tmp_path / "at-once", server)
    for name in ("train.jsonl", "review.html", "dataset.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "at-once" / name).read_bytes()
    Image.new("RGB", (24, 24), (1, 2, 3)).save(images / "3.png")
    assert made(images, tmp_path / "out", server).requests == 1
    assert made(images, tmp_path / "out", server, rounds=1).requests == 6


def test_a_failing_endpoint_keeps_what_was_made(
    tmp_path: Path, images: Path, server: Server
) -> None:
    def behave(server: Server, prompt: str, digest: str) -> tuple[int, Any]:
        return good(server, prompt, digest) if len(server.pictures) <= 2 else (500, "out of memory")

    server.behave = behave
    with pytest.raises(RemoteError, match="answered 500"):
        made(images, tmp_path / "out", server, concurrency=1)
    assert not (tmp_path / "out").exists()
    server.behave = good
    journal = tmp_path / "out.journal.jsonl"
    journal.write_text(journal.read_text() + '{"image": "cut sho')
    assert made(images, tmp_path / "out", server).requests == 4
    assert not journal.exists()


@pytest.mark.parametrize(
    ("status", "reply", "kind", "says"),
    [
        (200, b"<html>", RemoteError, "the reply is not JSON"),
        (200, b"[]", RemoteError, "the reply is not a JSON object"),
        (200, b'{"error": "busy"}', RemoteError, "the reply is not a chat completion"),
        (200, b'{"choices": [{"message": {"content": 7}}]}', RemoteError, "holds no text"),
        (404, {"message": "no model"}, UsageError, "answered 404"),
    ],
)
def test_what_is_no_answer_is_named(
    tmp_path: Path, images: Path, server: Server, status: int, reply: Any, kind: Any, says: str
) -> None:
    server.behave = lambda *_: (status, reply)
    with pytest.raises(kind, match=says):
        made(images, tmp_path / "out", server, attempts=1)
    server.behave = good
    assert made(images, tmp_path / "out", server).requests == 6


def test_a_picture_that_cannot_be_opened_is_passed_over(
    tmp_path: Path, images: Path, server: Server
) -> None:
    (images / "2.png").write_bytes(b"no picture")
    done = made(images, tmp_path / "out", server)
    (picture,) = done.failed
    assert picture == "2.png" and "not an image of PNG" in done.failed[picture]
    Image.new("RGB", (24, 24)).save(images / "2.png")
    assert made(images, tmp_path / "again", server).failed == {}


def test_the_key_goes_to_the_endpoint_alone(
    tmp_path: Path, images: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EnvironmentFailure, match="VISION_KEY is not set"):
        Endpoint(server.url, key_env="VISION_KEY")
    monkeypatch.setenv("VISION_KEY", KEY)
    endpoint = Endpoint(server.url, key_env="VISION_KEY")
    generate(images, tmp_path / "out", endpoint)
    assert server.keys == {f"Bearer {KEY}"}
    assert not [path for path in (tmp_path / "out").iterdir() if KEY in path.read_text("utf-8")]
    server.behave = lambda server, prompt, digest: (401, f"bad key {KEY}")
    with pytest.raises(EnvironmentFailure) as caught:
        generate(images, tmp_path / "again", endpoint)
    assert "bad key ***" in caught.value.message and KEY not in str(caught.value)
    other = Server()
    threading.Thread(target=other.http.serve_forever, daemon=True).start()
    server.behave = lambda server, prompt, digest: (307, f"{other.url}/chat/completions")
    with pytest.raises(DataError):
        generate(images, tmp_path / "redirected", endpoint)
    assert other.keys == set()
    other.http.shutdown()
    other.http.server_close()


def test_what_cannot_work_is_said_first(tmp_path: Path, images: Path, server: Server) -> None:
    (tmp_path / "bad.j2").write_text("{{ nothing }}")
    with pytest.raises(UsageError, match="the template fails: 'nothing' is undefined"):
        made(images, tmp_path / "out", server, template=tmp_path / "bad.j2")
    with pytest.raises(UsageError, match="the template cannot be read"):
        made(images, tmp_path / "out", server, template=tmp_path / "none.j2")
    with pytest.raises(DataError, match="none is not a folder"):
        made(tmp_path / "none", tmp_path / "out", server)
    server.models = ["a", "b"]
    with pytest.raises(UsageError, match="lists 2 models: a, b"):
        made(images, tmp_path / "out", server)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no picture"):
        made(tmp_path / "empty", tmp_path / "out", server)
    with pytest.raises(UsageError, match="holds something else"):
        made(images, images, server)
    with pytest.raises(RemoteError, match="URLError"):
        generate(
            images, tmp_path / "out", Endpoint("http://127.0.0.1:9/v1", "x"), Making(attempts=1)
        )
    for bad in ("ftp://x/v1", "http://user:pw@host/v1", "nonsense"):
        with pytest.raises(UsageError, match="not an http"):
            Endpoint(bad)
    assert server.prompts == []


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ('[{"question": "Q", "answer": "A"}]', ""),
        ("```\n[]\n```", "it is not a list of 1 objects"),
        ("[" * 100_000, "it is not JSON"),
        ('[{"question": "Q", "answer": "A", "x": 1}]', "item 0 does not have exactly the keys"),
        (
            '[{"question": "Q <image>", "answer": "A"}]',
            "item 0 holds an empty, endless or unfit text",
        ),
        ('[{"question": "Q", "answer": 3}]', "item 0 holds an empty, endless or unfit text"),
    ],
)
def test_replies_are_checked(reply: str, problem: str) -> None:
    assert problem in parse(reply, 1)[1] and bool(parse(reply, 1)[0]) == (not problem)
    assert (
        parse('[{"question": "Q", "answer": "A"}, {"question": "q", "answer": "B"}]', 2)[1]
        == "a question is repeated"
    )


def test_the_command_line_makes_data(
    tmp_path: Path, images: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    from hubkit.__main__ import run

    words = [
        "prepare",
        str(images),
        str(tmp_path / "out"),
        "--generate",
        server.url,
        "--rounds",
        "1",
        "--max-requests",
        "4",
    ]
    assert run([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (result["records"], result["requests"], result["ended"]) == (4, 4, "max_requests")
    assert run(words) == 0
    assert "6 records of 6 images, 2 requests" in capsys.readouterr().out
    assert run(["prepare", str(images), "--generate", server.url, "--dry-run"]) == 2
