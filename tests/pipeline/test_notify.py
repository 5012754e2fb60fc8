"""Whoever release.yaml names is told when a stage ends or fails; the release itself takes no notice
of them."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from testing.releases import Notes

import hubkit
from hubkit.errors import DataError, RemoteError, SpecError
from hubkit.pipeline.notify import Notifier, redacted

KEEP = "import sys; open('told', 'a').write(sys.stdin.read() + '\\n')"


def told(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "told").read_text("utf-8").splitlines()]


def notifying(project: Path, *notify: dict[str, object]) -> list[str]:
    return [f"notify={json.dumps(notify)}"]


@contextmanager
def listening(status: int) -> Iterator[tuple[str, list[bytes]]]:
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return None

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/secret-path", bodies
    finally:
        server.shutdown()
        server.server_close()


def test_a_command_is_told_of_a_stage_and_of_a_failure(project: Path) -> None:
    overrides = notifying(project, {"command": [sys.executable, "-c", KEEP]})
    hubkit.release(project, until="prepare", overrides=overrides)
    (project.parent / "data" / "digits.json").write_text('[{"id": "0"}]')
    with pytest.raises(DataError):
        hubkit.release(project, until="prepare", overrides=overrides)
    sealed, failed = told(project.parent)
    assert (sealed["event"], sealed["stage"], sealed["state"]) == ("stage", "prepare", "sealed")
    assert sealed["name"] == "InternVL2-Tiny-Test" and "18 records" in str(sealed["summary"])
    assert (failed["state"], failed["error"], failed["exit_code"]) == ("failed", "DataError", 2)
    assert failed["remedy"]


def test_a_webhook_is_told_and_its_failure_stops_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = hubkit.load_spec(project, notifying(project, {"webhook_env": "HOOK"}))
    for status, problem in ((200, ""), (500, "answered 500"), (307, "answered 307")):
        with listening(status) as (address, bodies):
            monkeypatch.setenv("HOOK", address)
            notes = Notes()
            Notifier(spec, project.parent, notes).sealed("train", 1.5, "3 steps")
        assert json.loads(bodies[0])["summary"] == "3 steps" and len(bodies) == 1
        assert [problem in note and "secret-path" not in note for note in notes.notes] == [
            True
        ] * bool(problem)
    monkeypatch.delenv("HOOK")
    Notifier(spec, project.parent, notes := Notes()).sealed("train", 1.5, "3 steps")
    assert notes.notes == ["notify.0: the variable HOOK is not set"]


def test_a_command_that_fails_or_is_missing_is_noted(project: Path) -> None:
    spec = hubkit.load_spec(
        project, notifying(project, {"command": ["false"]}, {"command": ["no-such-program"]})
    )
    Notifier(spec, project.parent, notes := Notes()).sealed("merge", 1.0, "done")
    assert notes.notes == [
        "notify.0: false ended with 1",
        "notify.1: no-such-program cannot be run: No such file or directory",
    ]


def test_only_the_named_stages_and_states(project: Path) -> None:
    one = {"command": [sys.executable, "-c", KEEP], "stages": ["publish"], "states": ["failed"]}
    notifier = Notifier(hubkit.load_spec(project, notifying(project, one)), project.parent, Notes())
    notifier.sealed("publish", 1.0, "done")
    notifier.failed("merge", RemoteError("no", "yes"))
    notifier.failed("publish", RemoteError("no", "yes"))
    assert [event["stage"] for event in told(project.parent)] == ["publish"]


def test_no_secret_reaches_anybody(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the event, nor in the command's environment but for what it was promised."""
    token = "hf_" + "a1B2" * 9
    monkeypatch.setenv("HF_TOKEN", "s3cret-value")
    monkeypatch.setenv("CHAT_TOKEN", "for-the-chat")
    code = (
        "import os, sys, json; print(json.dumps([sys.stdin.read(), os.environ.get('HF_TOKEN'), "
        "os.environ.get('CHAT_TOKEN')]), file=open('told', 'w'))"
    )
    one = {"command": [sys.executable, "-c", code], "env": ["CHAT_TOKEN"]}
    spec = hubkit.load_spec(project, notifying(project, one))
    error = RemoteError(f"s3cret-value {token} https://me:pw@host/x", "again")
    Notifier(spec, project.parent, Notes()).failed("publish", error)
    body, hidden, given = json.loads((project.parent / "told").read_text())
    assert json.loads(body)["message"] == "*** *** https://***@host/x"
    assert (hidden, given) == (None, "for-the-chat")
    assert redacted("plain", {}) == "plain"


@pytest.mark.parametrize(
    ("notify", "problem"),
    [
        ({}, "name one of command, webhook and webhook_env"),
        ({"command": ["x"], "webhook": "https://x.example"}, "name one of command"),
        ({"webhook": "http://x.example"}, "notify.0.webhook"),
        ({"command": ["x"], "stages": ["training"]}, "notify.0.stages.0"),
    ],
)
def test_what_cannot_be_told_is_refused(
    project: Path, notify: dict[str, object], problem: str
) -> None:
    with pytest.raises(SpecError) as caught:
        hubkit.load_spec(project, notifying(project, notify))
    assert problem in caught.value.message


def test_who_is_told_is_in_no_release(project: Path) -> None:
    from hubkit.pipeline.card_facts import settings

    spec = hubkit.load_spec(project, notifying(project, {"webhook": "https://x.example/secret"}))
    assert "secret" not in json.dumps(settings(spec))
