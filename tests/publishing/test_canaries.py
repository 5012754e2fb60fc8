"""A whole release with real workers and all protocols, every token a canary: none is found in any
file or output afterwards, nor in a command line or a worker's environment meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from hubkit.rehearsal import Fault, Faults, Running

from .conftest import NAME, needs_hubs

pytestmark = [needs_hubs, pytest.mark.integration]


class Watch(threading.Thread):
    """Reads, again and again, every process's arguments, and the environment of hubkit's
    workers."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.arguments: set[bytes] = set()
        self.environments: set[bytes] = set()
        self.workers: set[str] = set()
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.1):
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    self._read(process)
                except OSError:
                    continue

    def _read(self, process: Path) -> None:
        arguments = (process / "cmdline").read_bytes()
        self.arguments.add(arguments)
        if b"hubkit.sdk.worker" in arguments:
            self.workers.add(process.name)
            self.environments.add((process / "environ").read_bytes())

    def end(self) -> None:
        self._ended.set()
        self.join()


def test_no_token_is_found_after_a_release(
    hub: Running, faults: Faults, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canaries = {name: hub.add_token(f"user-{name}") for name in ("hf", "ms", "git", "file")}
    file = tmp_path / "token-file"
    file.write_text(canaries["file"])
    environment = {
        "HF_TOKEN": canaries["hf"],
        "MODELSCOPE_API_TOKEN": canaries["ms"],
        "FORGE_TOKEN": canaries["git"],
    }
    environment |= {
        "HF_ENDPOINT": hub.url,
        "MODELSCOPE_ENDPOINT": hub.url,
        "GIT_CURL_VERBOSE": "1",
        "GIT_TRACE": "1",
    }
    places = {name: tmp_path / name for name in ("temporary", "home")}
    for place in places.values():
        place.mkdir()
    environment |= {
        "TMPDIR": str(places["temporary"]),
        "HOME": str(places["home"]),
        "HF_HOME": str(places["home"] / "hf"),
    }
    spec = yaml.safe_load(project.read_text())
    spec["publish"] = [
        {"to": f"huggingface:{NAME}", "options": {"patience": 60.0}},
        {"to": f"modelscope:{NAME}-MS", "options": {"patience": 60.0}},
        {"to": f"git:{hub.git_url(f'{NAME}-Git')}", "options": {"token_env": "FORGE_TOKEN"}},
        {"to": f"huggingface:{NAME}-File", "options": {"token_file": str(file)}},
    ]
    spec |= {"verify": {"deep": False}, "evaluate": {"limit": 1}}
    spec["train"]["options"] |= {"steps": 1}
    project.write_text(yaml.safe_dump(spec))
    hub.hub.create(f"{NAME}-Git", hub.hub.tokens.user(canaries["git"]), private=True)
    command = [sys.executable, "-m", "hubkit", "release", str(project)]
    faults.add(Fault("status", path="/repo/tag", status=401, times=1))
    watch = Watch()
    watch.start()
    try:
        runs = [
            subprocess.run(
                command,
                capture_output=True,
                env={**os.environ, **environment},
                check=False,
                timeout=400,
            )
            for _ in range(2)
        ]
    finally:
        watch.end()
    assert [run.returncode for run in runs] == [4, 0], runs[-1].stderr.decode()
    assert b"MODELSCOPE_API_TOKEN" in runs[0].stdout + runs[0].stderr
    assert len(watch.workers) >= 2 and all(b"PATH=" in one for one in watch.environments)
    assert any(b"git\0" in one and b"push" in one for one in watch.arguments)
    told = b"".join(run.stdout + run.stderr for run in runs)
    written = [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and path != file and "hub-data" not in path.parts
    ]
    names = {path.name for path in written}
    assert {"plan.json", "config"} <= names and any(name.endswith(".jsonl") for name in names)
    for name, canary in canaries.items():
        found = [
            str(path.relative_to(tmp_path))
            for path in written
            if canary.encode() in path.read_bytes()
        ]
        assert found == [], f"{name} is in a file"
        for where in (told, *watch.arguments, *watch.environments):
            assert canary.encode() not in where, (
                f"{name} is in output, arguments or a worker's environment"
            )
