"""withdraw, diff, login-status and rehearse, from Python and from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

import hubkit
from hubkit.errors import UsageError
from hubkit.rehearsal import Running

from .conftest import NAME, TOKEN, needs_hubs

pytestmark = needs_hubs


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hubkit", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
        timeout=120,
    )


def as_options(options: dict[str, Any]) -> list[str]:
    return [word for key, value in options.items() for word in ("--option", f"{key}={value}")]


def test_a_push_is_withdrawn(tracked: Path, targets: list[str], options: dict[str, Any]) -> None:
    options |= {"huggingface.private": False, "modelscope.private": False}
    with pytest.raises(UsageError, match="nothing was pushed"):
        hubkit.withdraw(tracked, targets[0], options=options)
    hubkit.push(tracked, targets, options=options)
    for to in targets:
        gone = hubkit.withdraw(tracked, to, options=options)
        assert gone.done and gone.remains, to
    done = run(
        "withdraw",
        str(tracked),
        "--from",
        targets[0],
        *as_options({**options, "huggingface.undo": "delete"}),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done:    the repository") and "remains" not in done.stdout


def test_differences_between_folder_and_hubs(
    tracked: Path, targets: list[str], options: dict[str, Any]
) -> None:
    hubkit.push(tracked, targets[:2], options=options)
    assert hubkit.diff(tracked, f"{targets[0]}@v1.0.0", options=options).ok
    assert hubkit.diff(targets[0], targets[1], options=options).ok
    listed = tracked / "manifest.json"
    data = json.loads(listed.read_text())
    data["files"] = [file for file in data["files"] if file["path"] != "config.json"]
    listed.write_text(json.dumps(data))
    found = hubkit.diff(tracked, targets[1], options=options)
    assert (found.missing, found.extra, [one.path for one in found.different]) == (
        (),
        ("config.json",),
        ["manifest.json"],
    )
    done = run("diff", str(tracked), targets[1], *as_options(options))
    assert done.returncode == 6 and "only in B: config.json" in done.stdout
    same = run("diff", targets[0], targets[1], *as_options(options), "--json")
    assert same.returncode == 0 and json.loads(same.stdout.splitlines()[-1])["same"] is True


def test_login_status_tells_the_source_and_no_token(hub: Running) -> None:
    arguments = [
        "--option",
        f"huggingface.endpoint={hub.url}",
        "--option",
        f"modelscope.endpoint={hub.url}",
        "--json",
    ]
    done = run("login-status", *arguments, HF_TOKEN=TOKEN, MODELSCOPE_API_TOKEN="ms-wrong-token")
    rows = {row["hub"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert (rows["huggingface"]["state"], rows["huggingface"]["user"]) == ("ok", "rehearsal")
    assert rows["huggingface"]["source"] == "the environment variable HF_TOKEN"
    assert (
        rows["modelscope"]["state"] == "rejected"
        and "MODELSCOPE_API_TOKEN" in rows["modelscope"]["source"]
    )
    assert (
        TOKEN not in done.stdout + done.stderr and "ms-wrong-token" not in done.stdout + done.stderr
    )


def test_a_rehearsal_of_all_three_protocols(tracked: Path, tmp_path: Path) -> None:
    with hubkit.rehearse(tracked, data=tmp_path / "rehearsal") as done:
        assert [one.receipt.hub for one in done] == ["huggingface", "modelscope", "git_lfs"]
        files = len(json.loads((tracked / "manifest.json").read_text())["files"]) + 1
        assert {one.files for one in done} == {files}
    assert "HUBKIT_REHEARSAL_TOKEN" not in os.environ
    command = [sys.executable, "-m", "hubkit", "rehearse", "--folder", str(tracked), "--keep"]
    kept = subprocess.Popen(
        [*command, "--data", str(tmp_path / "rehearsal")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert kept.stdout is not None and kept.stderr is not None
    told = [kept.stdout.readline() for _ in range(6)]
    assert all(line.endswith("downloaded: all as in the manifest\n") for line in told[::2]), told
    said = iter(kept.stderr.readline, "Ctrl-C stops the hub.\n")
    (token,) = [line.split()[-1] for line in said if line.startswith("Sign in with the token ")]
    browser = build_opener(HTTPCookieProcessor())
    browser.open(urljoin(told[1].strip(), "/login"), f"token={token}".encode()).close()
    assert NAME.rpartition("/")[2] in browser.open(told[1].strip()).read().decode()
    kept.send_signal(signal.SIGINT)
    assert kept.wait(20) == 0
