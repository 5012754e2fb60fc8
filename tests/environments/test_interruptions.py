"""Workers that are cancelled, and workers whose host is killed: no process is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from testing.odd_plugin import Watcher, gone, train, until_gone, wait_for

from hubkit.environments import process
from hubkit.sdk import CancelledError

Make = Callable[..., Any]


PATIENT = """
    (job.output / "pid").write_text(str(os.getpid()))
    try:
        while True:
            run.progress(0, 1, "steps")
            run.check_cancelled()
            time.sleep(0.01)
    finally:
        (job.output / "saved").touch()
"""


class CancelledAtOnce(Watcher):
    def check_cancelled(self) -> None:
        if self.reports:
            raise CancelledError("interrupted", "again")


class CtrlC(Watcher):
    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("run", [CancelledAtOnce(), CtrlC()], ids=["cancelled", "ctrl-c"])
def test_cancelling_lets_the_plugin_save_its_work(make: Make, tmp_path: Path, run: Watcher) -> None:
    started = time.monotonic()
    with pytest.raises(CancelledError):
        train(make(PATIENT), tmp_path, run)
    assert time.monotonic() - started < 8
    assert (tmp_path / "out" / "saved").exists()
    assert gone(int((tmp_path / "out" / "pid").read_text()))


def test_who_does_not_listen_is_killed_with_all_children(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SECONDS_TO_STOP", 0.5)
    plugin = make("""
        deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
        child.stdout.readline()
        (job.output / "pids").write_text(f"{os.getpid()} {child.pid}")
        run.progress(1, 2, "steps")
        time.sleep(600)
    """)  # noqa: E501
    with pytest.raises(CancelledError):
        train(plugin, tmp_path, CancelledAtOnce())
    assert until_gone(*map(int, (tmp_path / "out" / "pids").read_text().split()))


HOLDS_THE_INTERPRETER = """
        (job.output / "pids").write_text(str(os.getpid()))
        run.progress(1, 2, "steps")
        ctypes.PyDLL(None).sleep(60)
"""
"""As the import of a large native library does."""


def test_a_worker_that_holds_the_interpreter_is_killed(make: Make, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(CancelledError):
        train(make(HOLDS_THE_INTERPRETER), tmp_path, CancelledAtOnce())
    assert gone(int((tmp_path / "out" / "pids").read_text()))
    assert time.monotonic() - began < 10


HOST = """
import sys
sys.path[:0] = {path!r}
import {module} as module
from pathlib import Path
from hubkit.environments import CURRENT, call
from hubkit.sdk import SilentRun, TrainInput, Vision
here = Path({here!r})
vision = Vision(56, 16, 1, 1, True, (0.0,) * 3, (1.0,) * 3)
job = TrainInput(here, here, {{}}, vision, here, here, here / "out", here, 7, {{}})
call(module.Plugin(), "train", job, environment=CURRENT, run=SilentRun(), folder=here / "worker")
"""


@pytest.mark.parametrize("deaf", ["while True: pass", "ctypes.PyDLL(None).sleep(60)"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_host_takes_its_worker_along(
    make: Make, tmp_path: Path, number: int, deaf: str
) -> None:
    plugin = make(f"""
        child = subprocess.Popen(["sleep", "600"])
        (job.output / "pids").write_text(f"{{os.getpid()}} {{child.pid}} ")
        {deaf}
    """)
    (tmp_path / "out").mkdir()
    text = HOST.format(
        path=[str(tmp_path / "plugin")], module=type(plugin).__module__, here=str(tmp_path)
    )
    host = subprocess.Popen([sys.executable, "-c", text])
    try:
        pids = [int(pid) for pid in wait_for(tmp_path / "out" / "pids").split()]
        assert len(pids) == 2
        assert not any(gone(pid) for pid in pids)
    finally:
        host.send_signal(number)
        host.wait()
    assert until_gone(*pids, seconds=2)
