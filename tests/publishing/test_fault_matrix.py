"""Each fault at each request of a publish, on all three protocols: it ends verified, or with an
error that says what was done, and running again ends verified, without a second commit. The table
is at the end of

    python -m pytest -m integration -n 8 tests/publishing/test_fault_matrix.py

A cell waits more than it works, so more processes than processors are quicker.

HUBKIT_FAULT_STRIDE=5 takes each fifth request of a fault, another first one for each fault: a
sample, for a quick run.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from testing.fault_matrix import ROW, SKIPPED
from testing.releases import make_release

from hubkit.errors import EnvironmentFailure, HubkitError, RemoteError
from hubkit.registry.plugins import plugins
from hubkit.rehearsal import Fault, Faults, Running, serve
from hubkit.sdk import PublishInput, SilentRun

from .conftest import TOKEN, needs_hubs

STRIDE = int(os.environ.get("HUBKIT_FAULT_STRIDE", "1"))
pytestmark = [needs_hubs, pytest.mark.integration]

ANSWERED = {
    "401": (401, {}),
    "403": (403, {}),
    "403 gated": (403, {"x-error-code": "GatedRepo"}),
    "404": (404, {}),
    "409": (409, {}),
    "429": (429, {}),
    "429 after 1 s": (429, {"retry-after": "1"}),
    "500": (500, {}),
    "502": (502, {}),
    "504": (504, {}),
}
FAULTS: dict[str, Fault] = {
    "reset": Fault("reset"),
    "lost": Fault("lost"),
    "truncated": Fault("truncate", bytes=3),
    "stops": Fault("stall", bytes=3, seconds=3.0),
    "slow": Fault("slow", seconds=0.3),
    "elsewhere": Fault("redirect", location="http://127.0.0.1:9"),
    "wrong bytes": Fault("wrong"),
    **{
        name: Fault("status", status=status, headers=headers)
        for name, (status, headers) in ANSWERED.items()
    },
}
OPTIONS: dict[str, dict[str, Any]] = {
    "huggingface": {"timeout": 2.0, "patience": 6.0},
    "modelscope": {"timeout": 2, "patience": 6.0},
    "git_lfs": {"patience": 3.0},
}
UNHURRIED: dict[str, dict[str, Any]] = {
    "huggingface": {"timeout": 60.0, "patience": 60.0},
    "modelscope": {"timeout": 60, "patience": 60.0},
    "git_lfs": {"patience": 60.0},
}
"""For what suffers no fault: a busy machine is none."""


@dataclass
class Stage:
    """One protocol on one hub: a fresh repository for each cell."""

    protocol: str
    hub: Running
    faults: Faults
    job: PublishInput
    scratch: Path
    count: int = 0

    def fresh(self) -> PublishInput:
        self.count += 1
        for stored in (self.scratch / "hub-data" / "objects").iterdir():
            shutil.rmtree(stored) if stored.is_dir() else stored.unlink()
        name = f"food/InternVL2-{self.count}"
        if self.protocol != "git_lfs":
            return replace(self.job, target=name)
        self.hub.hub.create(name, self.hub.hub.tokens.user(TOKEN), private=True)
        return replace(self.job, target=f"{self.hub.url}/{name}.git")

    def publish(self, job: PublishInput) -> None:
        plugins().get("hub", self.protocol).publish(job, SilentRun())

    def unhurried(self, job: PublishInput) -> PublishInput:
        return replace(job, options={**job.options, **UNHURRIED[self.protocol]})

    def differing(self, job: PublishInput) -> list[str]:
        """Files that a fresh download has otherwise than the manifest."""
        out = self.scratch / f"{self.protocol}-{self.count}"
        plugins().get("hub", self.protocol).download(
            job.target, job.tag, out, job.options, SilentRun()
        )
        expected = {file.path: file.sha256 for file in job.files}
        paths = [
            path
            for path in out.rglob("*")
            if path.is_file() and ".git" not in path.relative_to(out).parts
        ]
        found = {
            path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
        }
        shutil.rmtree(out)
        return sorted(path for path in {*expected, *found} if expected.get(path) != found.get(path))

    def commits(self, job: PublishInput) -> int:
        name = job.target.removeprefix(self.hub.url + "/").removesuffix(".git")
        git = self.hub.hub.git(self.hub.hub.find(name, self.hub.hub.tokens.user(TOKEN)))
        return len(git.log(git.resolve("main"), 100, 0))


@contextmanager
def stage(protocol: str, tmp_path: Path) -> Iterator[Stage]:
    faults = Faults()
    endpoint = {} if protocol == "git_lfs" else {"endpoint": ""}
    with serve(tmp_path / "hub-data", token=TOKEN, faults=faults) as hub:
        options = {**OPTIONS[protocol], "token_env": "MY_TOKEN", **dict.fromkeys(endpoint, hub.url)}
        job = make_release(tmp_path / "InternVL2-Matrix", "", options, weights=3000)
        yield Stage(protocol, hub, faults, job, tmp_path)


def steps(at: Stage) -> list[str]:
    """The requests of an undisturbed publish, named by what they do."""
    job = at.unhurried(at.fresh())
    at.faults.clear()
    at.publish(job)
    seen = [label(f"{one.method} {one.path}") for one in at.faults.requests]
    assert at.differing(job) == []
    return seen


def label(request: str) -> str:
    method, _, path = request.partition(" ")
    parts = [
        part
        for part in re.split(r"[/?]", path)
        if part and not re.fullmatch(r"api|v1|models|repos|food|InternVL2-.*|[0-9a-f]{40,}", part)
    ]
    return f"{method} {'/'.join(parts)[:22] or 'info'}"


def cell(at: Stage, fault: Fault, index: int) -> str:
    """verified, recovered (an error, then verified), found (wrong bytes, seen by a download), or
    what went wrong."""
    at.faults.clear()
    job = at.fresh()
    at.faults.add(replace(fault, index=index))
    outcome = "verified"
    try:
        at.publish(job)
    except (RemoteError, EnvironmentFailure) as error:
        outcome = "recovered"
        if not error.remedy or TOKEN in str(error):
            return f"LOST: no remedy, or the token in {error.message!r}"
    except Exception as error:
        return f"LOST: {type(error).__name__}: {error}"
    at.faults.clear()
    job = at.unhurried(job)
    try:
        at.publish(job)
        wrong = at.differing(job)
    except HubkitError as error:
        if fault.kind == "wrong" and isinstance(error, RemoteError):
            return "found"
        return f"LOST: the second run: {type(error).__name__}: {error.message}"
    if wrong:
        return "found" if fault.kind == "wrong" else f"LOST: {wrong} differ"
    made = at.commits(job)
    return outcome if made <= (1 if at.protocol == "git_lfs" else 2) else f"LOST: {made} commits"


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("protocol", OPTIONS)
def test_no_cell_is_lost(
    protocol: str, fault: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """One row of the table, with a hub of its own. Rows run side by side;
    tests/testing/fault_matrix.py puts the table together."""
    random.seed(fault)
    row = list(FAULTS).index(fault)
    with stage(protocol, tmp_path) as at:
        names = steps(at)
        cells = [
            cell(at, FAULTS[fault], i) if (i - row) % STRIDE == 0 else SKIPPED
            for i in range(len(names))
        ]
    record_property(ROW, [protocol, fault, names, cells])
    assert [
        f"{fault} at {names[i]}: {one}" for i, one in enumerate(cells) if one.startswith("LOST")
    ] == []
    assert len(cells) == len(names) and set(cells) <= {"verified", "recovered", "found", SKIPPED}
