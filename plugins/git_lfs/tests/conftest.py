"""A small release, and a server that speaks git's smart protocol (through git-http-backend) and the
Git LFS batch API."""

import base64
import gzip
import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from hubkit.packaging import lfs, manifest
from hubkit.packaging.manifest import Manifest
from hubkit.sdk import PublishInput, SilentRun


class Notes(SilentRun):
    """Keeps what a hub reports."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[tuple[float, float, str]] = []

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        self.steps.append((done, total, unit))

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def git() -> Callable[..., str]:
    def run(folder: Path, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., tuple[PublishInput, Manifest]]:
    """A staged release folder tmp_path/NAME, as the publish stage hands it over."""

    def make(
        target: str, *, name: str = "release", tag: str = "v1.0.0", seed: int = 0, **options: Any
    ) -> tuple[PublishInput, Manifest]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        weights = np.random.default_rng(seed).standard_normal((300, 1000)).astype(np.float32)
        if not (folder / "model.safetensors").exists():
            save_file({"a.weight": weights}, folder / "model.safetensors")
        (folder / "README.md").write_text(
            f"# Model {seed}, {tag}\r\nwith Windows line ends, and é\n"
        )
        (folder / "sub").mkdir(exist_ok=True)
        (folder / "sub" / "large vocabulary.json").write_bytes(b'"' + b"y" * (10 << 20) + b'"')
        manifest.write_gitattributes(folder)
        listed = manifest.build(
            folder, name="InternVL2-Tiny", tag=tag, created="2026-01-02", digests={}
        )
        listed.write(folder)
        message = f"InternVL2-Tiny {tag}"
        staged = lfs.stage(
            folder,
            listed,
            message=message,
            author_name="Ada",
            author_email="a@example.org",
            date="2026-01-02",
            tag=tag,
        )
        return PublishInput(
            folder, listed.released(), staged.commit, tag, message, target, options
        ), listed

    return make


class GitServer:
    """Repositories under `root`; every request needs `token` as its password. `log` has (method,
    path) of each request.

    `refuses_shallow` answers 500 to a push from a shallow repository, as dulwich 1.2 does. `hold`
    makes uploads wait; the next `stale` uploads are answered 403, as to a link that ran out;
    `broken` makes them fail with 500; a `ticket` other than "granted" makes them fail with 401.
    """

    def __init__(self, root: Path, token: str) -> None:
        self.root, self.token, self.log = root, token, list[tuple[str, str]]()
        self.ticket = "granted"
        self.users: set[str] = set()
        self.objects: dict[str, bytes] = {}
        self.uploading, self.hold, self.broken = threading.Event(), threading.Event(), False
        self.refuses_shallow, self.stale = False, 0
        self.hold.set()
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def repository(self, name: str) -> Path:
        path = self.root / name
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)
        subprocess.run(["git", "-C", str(path), "config", "http.receivepack", "true"], check=True)
        return path

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self) -> None:
                body = self._body()
                server.log.append((self.command, self.path))
                if self.path.startswith("/objects/") and self.headers.get("X-Ticket") == "granted":
                    return self._object(self.path.rsplit("/", 1)[1], body)
                if not self._logged_in():
                    return self._answer(401, b"", {"WWW-Authenticate": 'Basic realm="git"'})
                if self.path.endswith("/info/lfs/objects/batch"):
                    return self._batch(json.loads(body))
                return self._git(body)

            do_GET = do_POST = do_PUT = do

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def _logged_in(self) -> bool:
                scheme, _, given = self.headers.get("Authorization", "").partition(" ")
                user, _, password = base64.b64decode(given).decode().partition(":")
                server.users.add(user)
                return scheme == "Basic" and password == server.token

            def _batch(self, request: dict[str, Any]) -> None:
                action, answered = request["operation"], []
                for item in request["objects"]:
                    there = item["oid"] in server.objects
                    if there == (action == "download"):
                        href = f"{server.url}/objects/{item['oid']}"
                        actions = {action: {"href": href, "header": {"X-Ticket": server.ticket}}}
                        answered.append({**item, "authenticated": True, "actions": actions})
                    else:
                        answered.append(item)
                data = json.dumps({"transfer": "basic", "objects": answered}).encode()
                self._answer(200, data, {"Content-Type": "application/vnd.git-lfs+json"})

            def _object(self, oid: str, body: bytes) -> None:
                if self.command == "GET":
                    return self._answer(200, server.objects[oid], {})
                server.uploading.set()
                server.hold.wait(30)
                if server.stale:
                    server.stale -= 1
                    return self._answer(403, b"this link has run out", {})
                if server.broken or hashlib.sha256(body).hexdigest() != oid:
                    return self._answer(500, b"", {})
                server.objects[oid] = body
                return self._answer(200, b"", {})

            def _git(self, body: bytes) -> None:
                if server.refuses_shallow and self.path.endswith("receive-pack"):
                    plain = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
                    if plain[4:12] == b"shallow ":
                        return self._answer(500, b"", {})
                path, _, query = self.path.partition("?")
                environment = {
                    "PATH": os.environ["PATH"],
                    "GIT_PROJECT_ROOT": str(server.root),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "REQUEST_METHOD": self.command,
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "CONTENT_LENGTH": str(len(body)),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                    "REMOTE_USER": "somebody",
                }
                done = subprocess.run(
                    ["git", "http-backend"],
                    input=body,
                    capture_output=True,
                    env=environment,
                    check=False,
                )
                head, _, data = done.stdout.partition(b"\r\n\r\n")
                headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
                self._answer(int(headers.pop("Status", "200").split()[0]), data, headers)

            def _answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: Any) -> None:
                return None

        return Handler


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    root = tmp_path / "server"
    root.mkdir()
    running = GitServer(root, "token-" + "Zq7" * 9)
    thread = threading.Thread(target=running.http.serve_forever, daemon=True)
    thread.start()
    yield running
    running.hold.set()
    running.http.shutdown()
    running.http.server_close()
    thread.join()
