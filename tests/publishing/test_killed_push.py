"""`hubkit push` killed in the middle of each remote step: the next run asks the hub what it has and
continues."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import hubkit
from hubkit.rehearsal import Fault, Faults, Running
from hubkit.sdk.journal import read

from .conftest import NAME, TOKEN, needs_hubs

pytestmark = [needs_hubs, pytest.mark.integration]


def killed(folder: Path, to: str, options: dict[str, Any], step: str) -> None:
    """Kills the push as soon as its journal says that `step` has begun."""
    command = [sys.executable, "-m", "hubkit", "push", str(folder), "--to", to]
    command += [word for key, value in options.items() for word in ("--option", f"{key}={value}")]
    journals = folder / ".git" / "hubkit-journal"
    with subprocess.Popen(
        command, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None:
            begun = [line["step"] for path in journals.glob("*.jsonl") for line in read(path)]
            if step in begun:
                break
            time.sleep(0.01)
        time.sleep(0.2)
        assert process.poll() is None, "it ended before it could be killed"
        process.send_signal(signal.SIGKILL)


def commits(hub: Running, name: str) -> int:
    git = hub.hub.git(hub.hub.find(name, hub.hub.tokens.user(TOKEN)))
    return len(git.log(git.resolve("main"), 100, 0))


SLOW = {
    "create repository": r"^/api/(repos/create|v1/models)$",
    "upload": "^/lfs/|/objects/",
    "commit": "/commit/",
    "tag": r"/tag(/|$)",
}
"""Each remote step, in order, and the requests that are slow while it is killed."""


@pytest.mark.parametrize("scheme", ["huggingface", "modelscope"])
def test_a_push_killed_in_each_step_is_continued(
    hub: Running, faults: Faults, tracked: Path, options: dict[str, Any], scheme: str
) -> None:
    """What the killed push had asked for arrives after its death. The next one goes on from
    there."""
    to = f"{scheme}:{NAME}"
    for step, path in SLOW.items():
        faults.add(Fault("slow", method="POST|PUT", path=path, seconds=1.5, times=0))
        killed(tracked, to, options, step)
        time.sleep(1.6)
        faults.clear()
    hubkit.push(tracked, to, options=options)
    hubkit.verify(tracked, to, options=options)
    assert commits(hub, NAME) == 2
    lines = read(next((tracked / ".git" / "hubkit-journal").glob("*.jsonl")))
    assert {(step, "begun") for step in SLOW} <= {(line["step"], line["state"]) for line in lines}
