"""The connections and the patience of a push, counted and timed at the rehearsal hub."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from testing.releases import make_release

import hubkit
from hubkit.errors import RemoteError
from hubkit.pipeline.spec.publishing import Upload
from hubkit.rehearsal import Fault, Faults, Running
from hubkit.sdk import PublishInput

from .conftest import needs_hubs

pytestmark = needs_hubs


class Counting(Faults):
    """Counts how many uploads of large files the hub is taking at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self._lock, self._now, self.most = threading.Lock(), 0, 0

    def around(self, app: Any) -> Any:
        faulty = super().around(app)

        async def counted(scope: Any, receive: Any, send: Any) -> None:
            upload = scope["type"] == "http" and scope["method"] == "PUT"
            with self._lock:
                self._now += upload
                self.most = max(self.most, self._now)
            try:
                await faulty(scope, receive, send)
            finally:
                with self._lock:
                    self._now -= upload

        return counted


@pytest.fixture
def faults() -> Counting:
    return Counting()


@pytest.fixture
def many(tmp_path: Path) -> PublishInput:
    """A release with seven large files."""
    from testing.projects import BASE

    config = {"config.json": (BASE / "config.json").read_bytes()}
    large = {f"part-{number}.safetensors": bytes([number]) * 5000 for number in range(4)}
    return make_release(tmp_path / "InternVL2-Tiny", "", {}, weights=5000, files=config | large)


@pytest.mark.parametrize(
    ("chosen", "upload", "most"),
    [
        ((0, 1, 2), Upload(parallel=3, connections=6), 6),
        ((0, 2), Upload(parallel=2, connections=1), 1),
    ],
)
def test_all_hubs_together_keep_to_the_connections(
    many: PublishInput,
    faults: Counting,
    targets: list[str],
    options: dict[str, Any],
    chosen: tuple[int, ...],
    upload: Upload,
    most: int,
) -> None:
    """Each upload takes a while, so that all that may run at once do. With fewer connections than
    hubs, the hubs take turns."""
    faults.add(Fault("slow", method="PUT", seconds=0.7 if most > 1 else 0.1, times=0))
    to = [targets[number] for number in chosen]
    hubkit.push(many.folder, to, options=options, upload=upload)
    assert len([seen for seen in faults.requests if seen.method == "PUT"]) >= sum(
        file.lfs for file in many.files
    )
    assert faults.most == most


@pytest.mark.parametrize(
    ("path", "headers", "least"),
    [
        ("info/refs", {"retry-after": "1"}, 1.0),
        ("git-receive-pack$", {"retry-after": "1"}, 1.0),
        ("objects/batch", {}, 0.1),
    ],
)
def test_git_waits_when_the_server_is_busy(
    many: PublishInput,
    hub: Running,
    faults: Counting,
    targets: list[str],
    options: dict[str, Any],
    path: str,
    headers: dict[str, str],
    least: float,
) -> None:
    faults.add(Fault("status", path=path, status=429, headers=headers))
    started = time.monotonic()
    hubkit.push(many.folder, targets[2], options=options)
    assert time.monotonic() - started >= least
    assert [seen.status for seen in faults.requests if seen.fault] == [429]
    hubkit.verify(many.folder, targets[2], options=options)


def test_git_lfs_waits_longer_each_time(
    many: PublishInput, faults: Counting, targets: list[str], options: dict[str, Any]
) -> None:
    """Git LFS sees to the transfer of an object by itself, whatever the server asks."""
    oid = next(file.sha256 for file in many.files if file.lfs)
    faults.add(
        Fault("status", path=f"^/lfs/.*/{oid}$", status=429, headers={"retry-after": "1"}, times=4)
    )
    started = time.monotonic()
    hubkit.push(many.folder, targets[2], options=options)
    assert time.monotonic() - started >= 2
    assert [seen.status for seen in faults.requests if seen.fault] == [429] * 4
    hubkit.verify(many.folder, targets[2], options=options)


def test_git_waits_no_longer_than_its_patience(
    many: PublishInput, faults: Counting, targets: list[str], options: dict[str, Any]
) -> None:
    faults.add(
        Fault("status", path="info/refs", status=429, headers={"retry-after": "3600"}, times=0)
    )
    started = time.monotonic()
    with pytest.raises(RemoteError, match="asks to wait 3600 s"):
        hubkit.push(many.folder, targets[2], options={**options, "git_lfs.patience": 10.0})
    faults.clear()
    faults.add(Fault("status", path="info/refs", status=503, times=0))
    with pytest.raises(RemoteError, match="503"):
        hubkit.push(many.folder, targets[2], options={**options, "git_lfs.patience": 1.0})
    assert time.monotonic() - started < 10 and len(faults.requests) >= 3
