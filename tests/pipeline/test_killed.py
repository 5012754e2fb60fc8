"""SIGKILL in each stage, run again: the release is byte for byte the one of an undisturbed run.

At any moment: test_crash.py."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from testing.projects import NAME, make_project

from hubkit.digests import files_below
from hubkit.pipeline.run import NAMES

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("killed releases")]

ENVIRONMENT = {**os.environ, "SOURCE_DATE_EPOCH": "1767225600"}


def start(spec: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hubkit", "release", str(spec), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def finish(spec: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hubkit", "release", str(spec), "--json"],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def kill(process: subprocess.Popen[str]) -> bool:
    """Kills hubkit alone, as the kernel would when memory is short; its workers must end by
    themselves. False: it was done."""
    children = (
        psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    )
    running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    return running


def outcome(spec: Path) -> dict[str, str]:
    """Everything that a release gives: sha256 of each file of the release folder, its commit, and
    the hub's refs."""
    folder = spec.parent / ".hubkit" / NAME / "package" / NAME
    found = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in files_below(folder)
    }
    found["HEAD"] = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    remote = spec.parent / "hub" / f"{NAME}.git"
    found["refs"] = subprocess.run(
        ["git", "for-each-ref"], cwd=remote, capture_output=True, text=True, check=True
    ).stdout
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """The release file of an undisturbed run."""
    spec = make_project(tmp_path_factory.mktemp("undisturbed"), digits)
    finish(spec)
    return spec


@pytest.fixture(scope="module")
def undisturbed(finished: Path) -> tuple[dict[str, str], dict[str, float]]:
    """What an undisturbed run gives, and how long each of its stages takes, in seconds."""
    run = finished.parent / ".hubkit" / NAME
    seals = {name: json.loads((run / name / "seal.json").read_text("utf-8")) for name in NAMES}
    return outcome(finished), {name: seal["seconds"] for name, seal in seals.items()}


def wait_for(process: subprocess.Popen[str], wanted: Callable[[dict[str, object]], bool]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if wanted(json.loads(line)):
            return
    pytest.fail("the release ended before the moment came")


def test_killed_in_each_stage(
    tmp_path: Path, digits: Path, undisturbed: tuple[dict[str, str], dict[str, float]]
) -> None:
    expected, seconds = undisturbed
    spec, chance = make_project(tmp_path / "project", digits), random.Random(1)
    for stage in NAMES:
        process = start(spec)
        wait_for(
            process,
            lambda event, stage=stage: (
                event.get("stage") == stage and event.get("state") == "started"
            ),
        )
        time.sleep(chance.uniform(0, 0.3) * seconds[stage])
        assert kill(process), f"{stage} was over before it could be killed"
    finish(spec)
    assert outcome(spec) == expected


def test_killed_between_the_two_renames_of_a_seal(finished: Path) -> None:
    """The one moment when a stage that is run again has neither its old nor its new folder in
    place."""
    before = outcome(finished)
    workspace = finished.parent / ".hubkit" / NAME
    (workspace / "evaluate").rename(workspace / ".evaluate.1.old")
    finish(finished)
    assert outcome(finished) == before
    assert not (workspace / ".evaluate.1.old").exists()
