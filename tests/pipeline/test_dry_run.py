"""A release that only says what its training takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from testing.projects import NAME

import hubkit
from hubkit.sdk import UsageError


def dry_run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hubkit", "release", str(project), "--dry-run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.integration
def test_steps_memory_and_time_are_told_and_nothing_is_trained(project: Path) -> None:
    done = dry_run(project, "--json", "--set", "train.options.batch_size=0")
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()][-1]
    assert (told["steps"], told["samples"], told["batch_size"]) == (3, 48, 16)
    assert told["memory"] > 5_000_000 and told["seconds"] > 0
    run = project.parent / ".hubkit" / NAME
    assert (
        (run / "prepare").is_dir()
        and not (run / "train").exists()
        and not list(run.glob("foresee-*"))
    )

    shown = dry_run(project)
    assert shown.returncode == 0, shown.stderr
    assert "the training: 3 steps of 4 records, 4 at once on a device" in shown.stdout
    assert "GiB on a device" in shown.stdout
    assert [outcome.cached for outcome in hubkit.release(project, until="prepare").stages] == [True]


def test_what_would_fail_fails_at_once(project: Path) -> None:
    done = dry_run(project, "--set", "train.options.max_length=10")
    assert done.returncode == 2
    assert "max_length is 10" in done.stderr


def test_an_adapter_that_exists_needs_no_training(project: Path) -> None:
    with pytest.raises(UsageError, match=r"train\.adapter is given: nothing will be trained"):
        hubkit.foresee(project, overrides=["train.adapter=base"])


def test_it_takes_no_stages(project: Path) -> None:
    done = dry_run(project, "--until", "train")
    assert done.returncode == 2
    assert "without --from, --until and --where" in done.stderr
