"""What a call of a worker brings back, and what the worker is given."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from testing.odd_plugin import Watcher, job, train

from hubkit.environments import Environment
from hubkit.sdk import EnvironmentFailure, PluginError

Make = Callable[..., Any]


def test_a_call_brings_back_result_progress_and_notes(make: Make, tmp_path: Path) -> None:
    plugin = make("""
        run.progress(1, 2, "steps", loss=0.5)
        run.note("书生 ü \\n second line")
        run.progress(2, 2, "steps", loss=0.25)
        return done(options=json.dumps(dict(job.options), sort_keys=True), text="浦语 \\ud83c", seed=job.seed)
    """)  # noqa: E501
    watcher = Watcher()
    output = train(plugin, tmp_path, watcher, job=job(tmp_path, name="x"))
    assert output.settings == {
        "options": '{"name": "x", "rank": 16}',
        "text": "浦语 \ud83c",
        "seed": 7,
    }
    assert watcher.reports == [(1, 2, "steps", {"loss": 0.5}), (2, 2, "steps", {"loss": 0.25})]
    assert watcher.notes == ["书生 ü \n second line"]


def test_relative_paths_are_of_the_host_and_the_worker_has_a_folder_of_its_own(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "poison.py").write_text("raise SystemExit")
    plugin = make("""
        import importlib.util
        found = importlib.util.find_spec("poison") is not None
        return done(base=str(job.base), cwd=os.getcwd(), poison=found, stdin=sys.stdin.read())
    """)
    work = job(tmp_path)
    output = train(plugin, tmp_path, job=replace(work, base=Path("some/base")))
    assert output.settings["base"] == str(tmp_path / "some" / "base")
    assert output.settings["cwd"] == str(tmp_path / "worker" / "cwd")
    assert output.settings["poison"] is False
    assert output.settings["stdin"] == ""


def test_no_secret_reaches_the_worker(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [
        "HF_TOKEN",
        "MODELSCOPE_API_TOKEN",
        "MODELSCOPE_SESSION",
        "OPENAI_API_KEY",
        "NVIDIA_API_KEY",
        "CUDA_SECRET",
    ]
    for name in [*names, "HTTPS_PROXY", "PYTHONSTARTUP", "GIT_ASKPASS", "WHATEVER"]:
        monkeypatch.setenv(name, "canary-7f3a")
    monkeypatch.setenv("PYTHONPATH", "/canary-7f3a")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("LC_TIME", "C")
    plugin = make("return done(**os.environ)")
    got = train(plugin, tmp_path).settings
    assert "canary-7f3a" not in json.dumps(dict(got))
    assert (
        got["HF_HUB_OFFLINE"],
        got["HF_HUB_DISABLE_IMPLICIT_TOKEN"],
        got["TOKENIZERS_PARALLELISM"],
    ) == ("1", "1", "false")
    assert (got["PYTHONDONTWRITEBYTECODE"], got["PYTHONHASHSEED"], got["PYTHONSAFEPATH"]) == (
        "1",
        "0",
        "1",
    )
    assert (got["CUDA_VISIBLE_DEVICES"], got["LC_TIME"], got["HOME"]) == (
        "1",
        "C",
        os.environ["HOME"],
    )
    assert got["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert "HUBKIT_PROGRESS_FD" not in got
    for written in (tmp_path / "worker").rglob("*"):
        if written.is_file() and written.name != "output.json":
            assert b"canary-7f3a" not in written.read_bytes(), written


def test_the_worker_has_the_sdk_and_nothing_else_of_hubkit(make: Make, tmp_path: Path) -> None:
    plugin = make("""
        found = {}
        for name in ("hubkit.sdk", "hubkit.registry", "hubkit.environments", "hubkit.weights"):
            try:
                found[name.replace(".", "_")] = __import__(name, fromlist=["x"]).__file__
            except ModuleNotFoundError:
                found[name.replace(".", "_")] = ""
        return done(**found)
    """)
    got = dict(train(plugin, tmp_path).settings)
    assert got.pop("hubkit_sdk") == str(
        tmp_path / "worker" / "path" / "hubkit" / "sdk" / "__init__.py"
    )
    assert got == {"hubkit_registry": "", "hubkit_environments": "", "hubkit_weights": ""}


def test_progress_is_throttled_but_the_last_report_arrives(make: Make, tmp_path: Path) -> None:
    plugin = make("""
        for step in range(1, 200_001):
            run.progress(step, 200_000, "steps")
        return done()
    """)
    watcher = Watcher()
    train(plugin, tmp_path, watcher)
    assert watcher.reports[0][0] == 1
    assert watcher.reports[-1][0] == 200_000
    assert len(watcher.reports) < 100


def test_no_descriptor_is_left_open(make: Make, tmp_path: Path) -> None:
    plugin = make("return done()")
    train(plugin, tmp_path)
    before = sorted(Path("/proc/self/fd").iterdir())
    train(plugin, tmp_path)
    with pytest.raises(PluginError):
        train(make("os._exit(1)"), tmp_path)
    with pytest.raises(EnvironmentFailure):
        train(plugin, tmp_path, environment=Environment(tmp_path / "nothing"))
    assert sorted(Path("/proc/self/fd").iterdir()) == before
