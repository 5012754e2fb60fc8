"""`hubkit hub serve` as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from testing.hubclients import NAME

from hubkit.errors import EnvironmentFailure, UsageError
from hubkit.rehearsal import serve
from hubkit.rehearsal.command import token_from


def ended(process: subprocess.Popen[str]) -> int:
    """The exit code; a process that does not end is killed, since leaving its `with` would wait for
    it without end."""
    try:
        return process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def serving(data: Path) -> list[str]:
    """The command of a hub at a free port."""
    start = [sys.executable, "-m", "hubkit", "hub", "serve", "--port", "0"]
    return [*start, "--data", str(data), "--json"]


def test_it_serves_until_interrupted(tmp_path: Path) -> None:
    call = serving(tmp_path / "data")
    environment = {name: value for name, value in os.environ.items() if name != "HUBKIT_HUB_TOKEN"}
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout
        said = json.loads(process.stdout.readline())
        api = HfApi(endpoint=said["url"], token=said["token"])
        api.create_repo(NAME)
        sent = api.upload_file(repo_id=NAME, path_in_repo="a.txt", path_or_fileobj=b"a").oid
        process.send_signal(signal.SIGINT)
        assert ended(process) == 0
    with serve(tmp_path / "data", token="another-token") as hub:
        assert HfApi(endpoint=hub.url, token="another-token").repo_info(NAME).sha == sent


def test_a_fixed_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("from-a-file-1\n")
    monkeypatch.setenv("HUBKIT_HUB_TOKEN", "from-the-environment")
    assert token_from(file) == "from-a-file-1"
    assert token_from(None) == "from-the-environment"
    monkeypatch.setenv("HUBKIT_HUB_TOKEN", "short")
    with pytest.raises(UsageError, match="HUBKIT_HUB_TOKEN does not hold a token"):
        token_from(None)
    monkeypatch.delenv("HUBKIT_HUB_TOKEN")
    assert token_from(None) is None
    with pytest.raises(UsageError, match="cannot be read"):
        token_from(tmp_path / "nothing")


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with serve(tmp_path / "one") as hub, pytest.raises(EnvironmentFailure, match="cannot listen"):
        serve(tmp_path / "two", port=int(hub.url.rsplit(":", 1)[1])).__enter__()


def test_one_hub_at_a_time_on_a_folder(tmp_path: Path) -> None:
    with (
        serve(tmp_path / "data"),
        pytest.raises(EnvironmentFailure, match="another hub is running"),
    ):
        serve(tmp_path / "data").__enter__()
    with serve(tmp_path / "data") as hub:
        assert hub.url.startswith("http://127.0.0.1:")


@pytest.mark.integration
def test_memory_does_not_grow_with_files(tmp_path: Path) -> None:
    """600 MB up and down again: the server stays below 200 MiB."""
    data = tmp_path / "weights.bin"
    with data.open("wb") as file:
        for _ in range(75):
            file.write(os.urandom(4_000_000) * 2)
    call = serving(tmp_path / "data")
    with subprocess.Popen(
        call,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HUBKIT_HUB_TOKEN": "a-token-of-mine"},
    ) as process:
        assert process.stdout
        url = json.loads(process.stdout.readline())["url"]
        api = HfApi(endpoint=url, token="a-token-of-mine")
        api.create_repo(NAME)
        api.upload_file(repo_id=NAME, path_in_repo="weights.bin", path_or_fileobj=data)
        got = api.hf_hub_download(NAME, "weights.bin", local_dir=tmp_path / "out")
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.send_signal(signal.SIGINT)
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert Path(got).stat().st_size == 600_000_000
    assert peak < 200 * 1024
