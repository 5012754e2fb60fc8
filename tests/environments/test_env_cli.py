"""`hubkit env` and `environment: locked` as a user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from testing.locked_plugin import PYTHON, lock, step, wheel

from hubkit.environments import locked_name, manage
from hubkit.sdk import EnvironmentFailure, UsageError

Rows = list[dict[str, Any]]


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hubkit", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "plugin")}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=120, check=False
    )


def rows(done: subprocess.CompletedProcess[str], event: str) -> Rows:
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [row for row in found if row["event"] == event]


def test_build_check_list_and_remove(
    install: Any, store: Path, wheels: Path, tmp_path: Path
) -> None:
    plugin = install(lock(step("tinyone==1.0", "tinytwo==2.0")), lock(variant="cu99"))
    (row,) = [row for row in manage.rows() if row.variant == "cpu" and row.plugin == "tinylock"]
    assert (row.state, row.chosen, row.name, row.kind, row.size) == (
        "absent",
        True,
        locked_name(plugin, ""),
        "trainer",
        0,
    )
    (other,) = [row for row in manage.rows() if row.variant == "cu99"]
    assert (other.state, other.chosen) == ("unfit", False) and other.why
    with pytest.raises(EnvironmentFailure, match="is not built") as caught:
        manage.check("tinylock", manage.Environment(locked="cu99"))
    assert caught.value.remedy == "run `hubkit env build tinylock --variant cu99`"

    (result,) = rows(
        run(
            tmp_path,
            "env",
            "build",
            "tinylock",
            "--find-links",
            str(wheels),
            "--no-index",
            "--json",
        ),
        "result",
    )
    assert (result["new"], result["name"], result["state"]["packages"]) == (True, row.name, 2)
    begun = time.monotonic()
    done = run(tmp_path, "env", "build", "tinylock")
    assert done.stdout.splitlines()[0].startswith(f"there already: cpu, Python {PYTHON}.")
    assert done.stderr == ""
    assert time.monotonic() - begun < 3

    done = run(tmp_path, "env", "check", "tinylock")
    assert done.stdout.splitlines()[1:] == ["  tinyone 1.0", "  tinytwo 2.0"]
    done = run(tmp_path, "env", "check", "tinylock", "--environment", "current", "--json")
    assert done.returncode == 4
    assert "tinyone: ModuleNotFoundError" in rows(done, "error")[0]["message"]

    (site,) = (store / row.name).glob("lib/python*/site-packages")
    (site / "tinytwo-2.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tinytwo\nVersion: 3.0\n"
    )
    with pytest.raises(
        EnvironmentFailure,
        match=r"was changed since it was built:\n  tinytwo is 3.0, the lock says 2.0",
    ):
        manage.check("tinylock", manage.Environment(locked=""))

    install(lock(step("tinyone==1.1", "tinytwo==2.0")))
    stale = {
        row["name"]: row for row in rows(run(tmp_path, "env", "list", "--json"), "environment")
    }[row.name]
    assert stale["state"] == "stale" and stale["size"] > 1000
    done = run(tmp_path, "env", "remove", "--stale")
    assert done.stdout.startswith(f"removed {row.name} (")
    assert not (store / row.name).exists()
    done = run(tmp_path, "env", "remove", "tinylock")
    assert done.returncode == 2 and "no environment of 'tinylock' is built" in done.stderr


def test_names_that_are_none(install: Any, store: Path) -> None:
    install()
    with pytest.raises(UsageError, match="there is no trainer or engine 'tinyluck'") as caught:
        manage.build("tinyluck")
    assert "trainer tinylock" in caught.value.remedy
    assert manage.find("trainer:tinylock").name == "tinylock"
    with pytest.raises(UsageError, match="no lock of variant 'rocm'"):
        manage.build("tinylock", "rocm")


def test_a_lock_is_resolved_from_what_the_author_asks_for(
    install: Any, store: Path, tmp_path: Path
) -> None:
    links = tmp_path / "links"
    wheel(links, "tinyone", "1.0", "", ["tinythree>=1"])
    wheel(links, "tinyone", "1.1", "", ["tinythree>=1"])
    wheel(links, "tinytwo", "2.0", "", ["tinyone<1"])
    wheel(links, "tinythree", "1.0", "")
    groups = [
        {
            "packages": ["tinytwo"],
            "dependencies": False,
            "isolated": False,
            "variables": {"DS_BUILD_OPS": "0"},
        },
        {"packages": ["tinyone<1.1"]},
        {"packages": ["tinyone", "tinythree"]},
    ]
    install(
        sources={"cpu": {"format": 1, "plugin": "tinylock", "variant": "cpu", "groups": groups}}
    )
    (path,) = manage.lock("tinylock", out=tmp_path / "out", find_links=[str(links)], no_index=True)
    made = json.loads(path.read_text())
    assert path.name == f"cpu-py{PYTHON.replace('.', '')}-{made['platform']}.json"
    assert made["steps"] == [
        {"packages": ["tinytwo==2.0"], "isolated": False, "variables": {"DS_BUILD_OPS": "0"}},
        {"packages": ["tinyone==1.0", "tinythree==1.0"]},
    ]
    with pytest.raises(UsageError, match=r"has no cu12.in.json to lock from") as caught:
        manage.lock("tinylock", variants=["cu12"])
    assert caught.value.remedy == "there are: cpu"


@pytest.mark.integration
def test_a_release_trains_in_a_locked_environment_and_keeps_its_deadline(
    install: Any,
    store: Path,
    wheels: Path,
    tmp_path: Path,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plugin = install(lock(step("tinyone==1.0", "tinytwo==2.0")))
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    settings = ("train.trainer=tinylock", "train.environment=locked", "train.options={}")
    given = [part for one in settings for part in ("--set", one)]
    done = run(tmp_path, "release", str(project), "--until", "train", "--json", *given)
    assert done.returncode == 0, done.stdout[-2000:]
    assert any(
        note["message"].startswith("building the environment tinylock cpu")
        for note in rows(done, "note")
    )
    receipt = json.loads(next(project.parent.glob(".hubkit/*/train/seal.json")).read_text())
    assert receipt["result"]["settings"]["python"].startswith(str(store / locked_name(plugin, "")))
    assert receipt["inputs"]["environment"] == locked_name(plugin, "")

    hang = [*given[:-1], "train.options={hang: true}", "--set", "train.deadline=0.0003"]
    done = run(tmp_path, "release", str(project), "--until", "train", "--json", *hang)
    assert done.returncode == 4
    assert "did not finish `train` within 1.08 s and was ended" in rows(done, "error")[0]["message"]
