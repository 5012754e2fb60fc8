"""Starts one worker for each GPU of this node and watches them: the first reports, and when one
fails or hubkit is interrupted all end."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hubkit.sdk import PluginError, Run, TrainInput, TrainOutput
from hubkit.sdk.codec import decode, encode
from hubkit.sdk.errors import from_json
from hubkit.sdk.worker import PROGRESS_DESCRIPTOR

from .gang import Nodes

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class _Worker:
    process: subprocess.Popen[bytes]
    folder: Path

    def result(self) -> Mapping[str, Any]:
        """Its `output.json`.

        Raises:
            HubkitError: what it reported, or a PluginError when it died without a word.
        """
        path = self.folder / "output.json"
        if not path.is_file():
            code = self.process.returncode
            raise PluginError(
                f"the process for one GPU ended with {code}",
                f"see {self.folder.name}/log beside the checkpoint",
            )
        answer = json.loads(path.read_text("utf-8"))
        if not answer["ok"]:
            raise from_json(
                answer.get("error", {"message": f"the interpreter lacks something: {answer}"})
            )
        result: Mapping[str, Any] = answer["result"]
        return result


def train(job: TrainInput, run: Run, count: int, nodes: Nodes | None = None) -> TrainOutput:
    """Trains `job` in `count` processes here and on every other node; the first one's output."""
    nodes = nodes or Nodes()
    reader, writer = os.pipe()
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context(os.fdopen(reader, "rb"))
        workers = stack.enter_context(_started(job, count, nodes, writer))
        os.close(writer)
        relay = _Relay(lines, run)
        while any(worker.process.poll() is None for worker in workers):
            relay.pump(_POLL_SECONDS)
            run.check_cancelled()
            for worker in workers:
                if worker.process.poll():
                    worker.result()
        relay.pump(0)
        return decode(TrainOutput, workers[0].result(), "the first GPU's output")


class _Relay:
    """Passes on the lines that a worker writes about its progress."""

    def __init__(self, lines: Any, run: Run) -> None:
        self._lines, self._run, self._rest = lines, run, b""

    def pump(self, seconds: float) -> None:
        while select.select([self._lines], [], [], seconds)[0]:
            chunk = os.read(self._lines.fileno(), 65536)
            if not chunk:
                return
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            for line in whole:
                self._tell(json.loads(line))
            seconds = 0

    def _tell(self, message: Mapping[str, Any]) -> None:
        if "note" in message:
            self._run.note(message["note"])
        else:
            self._run.progress(
                message["done"], message["total"], message["unit"], **message["numbers"]
            )


@contextlib.contextmanager
def _started(job: TrainInput, count: int, nodes: Nodes, progress: int) -> Iterator[list[_Worker]]:
    """The workers, each in a process group of its own that is killed in the end; killed also when
    this process dies, since their standard input then closes."""
    nodes = nodes if nodes.count > 1 else replace(nodes, port=_free_port())
    workers: list[_Worker] = []
    try:
        for local in range(count):
            workers.append(_start(job, local, count, nodes, progress))
        yield workers
    finally:
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.process.pid, signal.SIGKILL)
            worker.process.wait()
            if worker.process.stdin:
                worker.process.stdin.close()


def _start(job: TrainInput, local: int, count: int, nodes: Nodes, progress: int) -> _Worker:
    variables = nodes.variables(local, count)
    rank = int(variables["RANK"])
    folder = job.scratch / f"gpu-{rank}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "output.json").unlink(missing_ok=True)
    request = {"plugin": "hubkit_peft:PeftTrainer", "call": "train", "input": encode(job)}
    (folder / "input.json").write_text(json.dumps(request), "utf-8")
    nothing = os.open(os.devnull, os.O_WRONLY)
    descriptor = progress if rank == 0 else nothing
    environment = {**os.environ, **variables, PROGRESS_DESCRIPTOR: str(descriptor)}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hubkit.sdk.worker", str(folder)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            pass_fds=[descriptor],
            start_new_session=True,
        )
    os.close(nothing)
    return _Worker(process, folder)


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port
