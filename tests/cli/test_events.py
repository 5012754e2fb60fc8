"""What `--json` writes is what its schema says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from testing.projects import BASE

from hubkit import cli
from hubkit.__main__ import run
from hubkit.cli.schema import EVENTS

SCHEMA: dict[str, Any] = json.loads(EVENTS.read_text("utf-8"))
VALID = Draft202012Validator(SCHEMA)
NAMES = [event["title"] for event in SCHEMA["oneOf"]]


def check(output: str) -> list[dict[str, Any]]:
    """The events of an output, each held to the schema."""
    events = [json.loads(line) for line in output.splitlines()]
    for event in events:
        assert not list(VALID.iter_errors(event)), event
    return events


def test_the_schema_names_every_event_of_the_source() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    source = "".join(path.read_text("utf-8") for path in Path(cli.__file__).parent.glob("*.py"))
    used = set(re.findall(r'emit\(\s*"(\w+)"', source)) | {"error"}
    assert used == set(NAMES) == set(SCHEMA["properties"]["event"]["enum"])
    assert json.loads(CliRunner().invoke(cli.cli, ["schema", "--events"]).output) == SCHEMA


def test_the_schema_refuses_what_is_no_event() -> None:
    for wrong in ({}, {"event": "other"}, {"event": "stage", "stage": "train"}):
        assert list(VALID.iter_errors(wrong)), wrong


def test_commands_on_folders_and_hubs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUBKIT_OFFLINE", "1")
    shutil.copytree(BASE, "InternVL2-X", ignore=shutil.ignore_patterns("__pycache__"))
    to = ["--to", f"git:{tmp_path}/InternVL2-X.git"]
    at = f"git:{tmp_path}/InternVL2-X.git"
    seen = set()
    for arguments, code in (
        (["check", "InternVL2-X"], 0),
        (["track", "InternVL2-X"], 0),
        (["push", "InternVL2-X", *to], 0),
        (["verify", "InternVL2-X", "--at", at], 0),
        (["diff", "InternVL2-X", at], 0),
        (["withdraw", "InternVL2-X", "--from", at], 0),
        (["plugins"], 0),
        (["env", "list"], 0),
        (["login-status"], 0),
        (["check", "nowhere"], 2),
        (["check"], 2),
        (["push", "InternVL2-X", "--to", "nohub:x"], 2),
    ):
        assert run([*arguments, "--json"]) == code, arguments
        events = check(capfd.readouterr().out)
        assert events[-1]["event"] == ("error" if code else events[-1]["event"])
        seen |= {event["event"] for event in events}
    assert {"result", "error", "plugin", "environment", "login"} <= seen


def test_a_release_file(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", str(project), "--json"]) == 0
    told = [event["event"] for event in check(capfd.readouterr().out)]
    assert [event for event in told if event != "note"] == ["plan"] * 8
    states = []
    for _ in range(2):
        assert run(["release", str(project), "--until", "prepare", "--json"]) == 0
        events = check(capfd.readouterr().out)
        assert events[-1]["event"] == "result"
        states.append([event["state"] for event in events if event["event"] == "stage"])
    assert states == [["started", "sealed"], ["cached"]]


def test_the_page_is_up_to_date() -> None:
    root = Path(__file__).parents[2]
    code = (
        "import sys; sys.path.insert(0, 'docs'); import make_events as m; sys.exit("
        "m.PLACE.read_text('utf-8') != m.page())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)
    assert done.returncode == 0, "run `make docs`"
