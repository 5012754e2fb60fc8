"""All three protocols at once, through the public API and the real clients."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import hubkit
from hubkit.errors import EnvironmentFailure, RefusedError, RemoteError
from hubkit.pipeline.spec.publishing import Upload
from hubkit.rehearsal import Fault, Faults, Running
from hubkit.sdk import SilentRun
from hubkit.sdk.journal import read

from .conftest import NAME, TOKEN, needs_hubs

pytestmark = needs_hubs


def digests(folder: Path) -> dict[str, str]:
    listed = json.loads((folder / "manifest.json").read_text("utf-8"))["files"]
    return {file["path"]: file["sha256"] for file in listed}


def test_one_push_to_three_protocols_each_verified(
    hub: Running, tracked: Path, targets: list[str], options: dict[str, Any]
) -> None:
    published = hubkit.push(tracked, targets, options=options, upload=Upload(parallel=3))
    assert [receipt.hub for receipt in published.receipts] == [
        "huggingface",
        "modelscope",
        "git_lfs",
    ]
    for to in targets:
        assert hubkit.verify(tracked, to, options=options).files == len(digests(tracked)) + 1
    journals = sorted((tracked / ".git" / "hubkit-journal").glob("*.jsonl"))
    assert [path.name.partition("-")[0] for path in journals] == [
        "git_lfs",
        "huggingface",
        "modelscope",
    ]
    assert all(read(path)[-1]["state"] == "done" for path in journals)
    assert hubkit.push(tracked, targets, options=options) == published


def test_the_clients_own_downloads_have_the_manifests_digests(
    hub: Running, tracked: Path, targets: list[str], options: dict[str, Any], tmp_path: Path
) -> None:
    """`hf download`, `modelscope download` (ms) and `git clone`, as a user types them."""
    import hashlib

    hubkit.push(tracked, targets, options=options)
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": TOKEN,
        "MODELSCOPE_ENDPOINT": hub.url,
    }
    environment |= {"MODELSCOPE_API_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "hf-home")}
    ms = "from modelscope_hub.cli.main import run_cmd; run_cmd()"
    commands = {
        "hf": [sys.executable, "-m", "huggingface_hub.cli.hf", "download", NAME, "--local-dir"],
        "ms": [sys.executable, "-c", ms, "download", "--model", f"{NAME}-MS", "--local_dir"],
        "git": [
            "git",
            "clone",
            "-q",
            f"http://rehearsal:{TOKEN}@{hub.url.removeprefix('http://')}/{NAME}-Git.git",
        ],
    }
    for name, command in commands.items():
        out = tmp_path / f"fresh-{name}"
        done = subprocess.run(
            [*command, str(out)], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        if name == "git":
            subprocess.run(["git", "lfs", "pull"], cwd=out, check=True, capture_output=True)
        found = {
            path: hashlib.sha256((out / path).read_bytes()).hexdigest() for path in digests(tracked)
        }
        assert found == digests(tracked), name


def test_one_hub_fails_and_the_others_arrive(
    hub: Running, faults: Faults, tracked: Path, targets: list[str], options: dict[str, Any]
) -> None:
    faults.add(Fault("status", path=r"^/api/models/.*/commit/", status=403, times=0))
    with pytest.raises(EnvironmentFailure) as caught:
        hubkit.push(tracked, targets, options=options, upload=Upload(parallel=3))
    assert f"published all the same: {targets[1]}, {targets[2]}" in caught.value.message
    assert "MY_TOKEN" in caught.value.message
    for to in targets[1:]:
        hubkit.verify(tracked, to, options=options)
    faults.clear()
    assert len(hubkit.push(tracked, targets, options=options).receipts) == 3
    hubkit.verify(tracked, targets[0], options=options)


def test_a_name_without_internvl_is_refused_before_any_request(
    tracked: Path, faults: Faults, options: dict[str, Any]
) -> None:
    for scheme in ("huggingface", "modelscope"):
        with pytest.raises(RefusedError, match="Food-2B"):
            hubkit.push(tracked, f"{scheme}:food/Food-2B", options=options)
    assert faults.requests == []


def test_interrupting_stops_all(
    hub: Running, faults: Faults, tracked: Path, targets: list[str], options: dict[str, Any]
) -> None:
    from hubkit.sdk import CancelledError

    class Interrupted(SilentRun):
        def __init__(self) -> None:
            self.since = time.monotonic()

        def check_cancelled(self) -> None:
            if time.monotonic() - self.since > 0.5:
                raise CancelledError("interrupted", "run again")

    faults.add(Fault("status", path=r"/lfs/", status=503, times=0))
    started = time.monotonic()
    with pytest.raises(CancelledError):
        hubkit.push(
            tracked,
            targets[:2],
            options={**options, "huggingface.patience": 60.0, "modelscope.patience": 60.0},
            reporter=Interrupted(),
        )
    assert time.monotonic() - started < 15


def test_bandwidth_is_kept(
    hub: Running, tracked: Path, targets: list[str], options: dict[str, Any]
) -> None:
    size = sum(file.stat().st_size for file in tracked.glob("*.safetensors"))
    limit = size / 1e6 / 1.5
    started = time.monotonic()
    hubkit.push(tracked, targets[:1], options=options, upload=Upload(max_mb_per_second=limit))
    assert time.monotonic() - started >= 1.4


def test_a_renamed_repository_keeps_the_token_at_home(
    hub: Running, faults: Faults, tracked: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    """The hub says that the repository is on another host: that one is asked without the token."""
    from hubkit.rehearsal import serve

    elsewhere = Faults()
    with serve(tmp_path / "elsewhere", token="hf_other", faults=elsewhere) as other:
        faults.add(Fault("redirect", location=other.url, times=0))
        for scheme in ("huggingface", "modelscope"):
            with pytest.raises((EnvironmentFailure, RemoteError)):
                hubkit.push(tracked, f"{scheme}:{NAME}", options=options)
    assert elsewhere.requests and not [seen for seen in elsewhere.requests if seen.authorized]
    assert [seen for seen in faults.requests if seen.authorized]


def commandlines() -> str:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(found)


def test_the_token_is_nowhere(
    hub: Running,
    faults: Faults,
    tracked: Path,
    targets: list[str],
    options: dict[str, Any],
    tmp_path: Path,
) -> None:
    """Runs `hubkit push` as a process with a failure in it, watching every command line meanwhile;
    then looks into all that it wrote: output, receipts, journal, git configuration, the client's
    folders."""
    command = [sys.executable, "-m", "hubkit", "push", str(tracked), "--json"]
    command += [word for to in targets for word in ("--to", to)]
    command += [word for key, value in options.items() for word in ("--option", f"{key}={value}")]
    canary = hub.add_token("canary")
    environment = {
        **os.environ,
        "MY_TOKEN": canary,
        "HF_DEBUG": "0",
        "GIT_CURL_VERBOSE": "1",
        "GIT_TRACE": "1",
    }
    seen: list[str] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.append(commandlines())
            stop.wait(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        faults.add(Fault("status", path="/repo/tag", status=401, times=1))
        failed = subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False, timeout=120
        )
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False, timeout=120
        )
    finally:
        stop.set()
        watcher.join()
    assert failed.returncode == 4 and "MY_TOKEN" in failed.stderr + failed.stdout
    assert done.returncode == 0, done.stderr
    assert any("hubkit" in one and "push" in one for one in seen) and not [
        one for one in seen if canary in one
    ]
    for text in (failed.stdout, failed.stderr, done.stdout, done.stderr):
        assert canary not in text
    written = [
        path for path in tmp_path.rglob("*") if path.is_file() and "hub-data" not in path.parts
    ]
    assert any("hubkit-journal" in path.parts for path in written)
    assert [path for path in written if canary.encode() in path.read_bytes()] == []
