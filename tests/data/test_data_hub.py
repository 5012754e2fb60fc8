"""Datasets from a hub, with the real client against a server that speaks its API."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import hubkit
from hubkit.data.hub import Reference
from hubkit.errors import EnvironmentFailure, HubkitError, RemoteError, UsageError

TOKEN = "hf_SecretSecretSecretSecret"
SHA = "a" * 40
Serve = Callable[..., str]


class Handler(BaseHTTPRequestHandler):
    files: dict[str, bytes]
    answer: tuple[int, dict[str, str]] | None
    seen: list[tuple[str, str]]

    def log_message(self, *_: object) -> None:
        return None

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization", "")))
        if self.answer:
            status, headers = self.answer
            return self._send(status, b"{}", headers)
        path = self.path.partition("?")[0]
        if path.startswith("/api/datasets/org/food/tree/"):
            tree = [
                {
                    "type": "file",
                    "path": name,
                    "size": len(data),
                    "oid": hashlib.sha1(data).hexdigest(),
                }
                for name, data in self.files.items()
            ]
            return self._send(200, json.dumps(tree).encode())
        if path.startswith("/api/datasets/org/food"):
            siblings = [{"rfilename": name} for name in self.files]
            return self._send(
                200, json.dumps({"id": "org/food", "sha": SHA, "siblings": siblings}).encode()
            )
        name = path.removeprefix(f"/datasets/org/food/resolve/{SHA}/")
        if name not in self.files:
            return self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})
        data = self.files[name]
        return self._send(
            200, data, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "X-Repo-Commit": SHA}
        )

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    servers: list[ThreadingHTTPServer] = []

    def start(files: dict[str, bytes], answer: tuple[int, dict[str, str]] | None = None) -> str:
        kind = type("Served", (Handler,), {"files": files, "answer": answer, "seen": []})
        server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def prepare(source: str, out: Path | None, endpoint: str, **settings: Any) -> Any:
    return hubkit.prepare(source, out, hubkit.PrepareSettings(endpoint=endpoint, **settings))


def food(tmp_path: Path) -> dict[str, bytes]:
    Image.new("RGB", (20, 20), (9, 9, 9)).save(tmp_path / "a.png")
    talk = [{"from": "human", "value": "<image>\nWhich?"}, {"from": "gpt", "value": "tofu"}]
    return {
        "README.md": b"---\nlicense: cc-by-nc-nd-4.0\n---\n# Food\n",
        "data.json": json.dumps(
            [{"id": "1", "image": "images/a.png", "conversations": talk}]
        ).encode(),
        "images/a.png": (tmp_path / "a.png").read_bytes(),
    }


def test_a_dataset_is_downloaded_with_its_licence_and_pictures(
    tmp_path: Path, serve: Serve
) -> None:
    done = prepare("hf:org/food/data.json", tmp_path / "out", serve(food(tmp_path)))
    assert (done.train, done.terms.license, done.terms.restrictions) == (
        1,
        "cc-by-nc-nd-4.0",
        ("no-derivatives",),
    )
    assert (done.images / "images" / "a.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    assert not (done.images / "images" / "a.png").is_symlink()
    with pytest.raises(HubkitError, match=r"has no file 'other\.json'") as caught:
        prepare("hf:org/food/other.json", tmp_path / "x", serve(food(tmp_path)))
    assert "data.json" in caught.value.remedy


GATED = {"X-Error-Code": "GatedRepo"}


@pytest.mark.parametrize(
    ("status", "headers", "kind", "says"),
    [
        (
            403,
            {
                **GATED,
                "X-Error-Message": (
                    "Access to dataset org/food is restricted. Visit the page to ask for access."
                ),
            },
            EnvironmentFailure,
            "request access at {url}/datasets/org/food",
        ),
        (
            403,
            {
                **GATED,
                "X-Error-Message": f"Your request to access org/food is awaiting a review. {TOKEN}",
            },
            EnvironmentFailure,
            "your request is awaiting review: see {url}/datasets/org/food",
        ),
        (
            401,
            GATED,
            EnvironmentFailure,
            "log in (`hf auth login`), then request access at {url}/datasets/org/food",
        ),
        (404, {"X-Error-Code": "RepoNotFound"}, RemoteError, "check the name"),
        (500, {}, RemoteError, "run the same command again"),
        (403, {}, EnvironmentFailure, "or correct HF_TOKEN"),
    ],
)
def test_what_the_hub_refuses_is_explained_and_no_token_shown(
    tmp_path: Path,
    serve: Serve,
    status: int,
    headers: dict[str, str],
    kind: type[HubkitError],
    says: str,
) -> None:
    url = serve({}, (status, headers))
    with pytest.raises(kind) as caught:
        prepare("hf:org/food", tmp_path / "out", url)
    assert says.format(url=url) in caught.value.remedy, caught.value
    assert TOKEN not in str(caught.value) and f"{url}/datasets/org/food" in caught.value.message
    assert not (tmp_path / "out").exists()


def test_a_hub_that_is_not_there(tmp_path: Path, serve: Serve) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(RemoteError, match=r"/datasets/org/food: ") as caught:
            prepare("hf:org/food", tmp_path / "out", f"http://127.0.0.1:{free.getsockname()[1]}")
    assert caught.value.remedy == "check the network, then run the same command again"
    assert prepare("hf:org/food/data.json", None, serve(food(tmp_path))).report.records == 1


def test_references() -> None:
    assert Reference.parse("hf:org/food@v1/sub/x.json") == Reference("org/food", "v1", "sub/x.json")
    for bad in ("hf:food", "hf:org/food/../../x", "hf:/x/y", "hf:org/food@../x"):
        with pytest.raises(UsageError):
            Reference.parse(bad)
