"""Runs one stage as a job, on the node: `python -m hubkit.pipeline.on_node FOLDER NAME`.

Killed or asked to end at any moment, it leaves no output.json: started again by the scheduler, it
goes on from the last checkpoint.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from .. import __version__
from ..digests import write_atomically
from ..errors import CancelledError, EnvironmentFailure, HubkitError
from ..files.disk import failure, remove
from ..inference.shares import Nodes
from ..reporting import SilentReporter
from ..sdk import codec, json_text
from .elsewhere import OUT, OUTPUT, RECORD, REQUEST
from .following import PROGRESS, STARTED
from .requirements import check_workers, disk_needed
from .spec.model import Spec
from .stage import Context, Stage
from .stages import stage_named
from .workspace import Workspace

SECONDS_BETWEEN_PROGRESS = 1.0
SECONDS_FOR_SIGNAL = 1.0
"""A scheduler signals all processes of a job, but not at the same instant."""


class NodeRun(SilentReporter):
    """Writes what a stage reports to `path`, progress once a second."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._last, self.cancelled = 0.0, False

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_PROGRESS or done >= total:
            self._last = now
            self._write({"done": done, "total": total, "unit": unit, "numbers": numbers})

    def note(self, message: str) -> None:
        self._write({"note": message})

    def check_cancelled(self) -> None:
        if self.cancelled:
            raise CancelledError(
                "the scheduler asked the job to end", "it continues when restarted"
            )

    def cancel(self, *_: object) -> None:
        self.cancelled = True

    def _write(self, message: dict[str, Any]) -> None:
        self._file.write(json.dumps(message) + "\n")


def main(folder: Path, name: str) -> int:
    """0 when the stage has given its result, 1 when it has given an error, 143 when it was asked to
    end, 2 when the folder is no longer this job's."""
    try:
        request = json_text.load(folder / REQUEST)
        if request["name"] != name or not (folder / RECORD).exists():
            raise ValueError("it is another job's")
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"{folder} has nothing for job {name} to do: {error}\n")
        return 2
    if rank := _rank():
        return _join(request, folder / f"node-{rank}")
    (folder / OUTPUT).unlink(missing_ok=True)
    run = NodeRun(folder / PROGRESS)
    signal.signal(signal.SIGTERM, run.cancel)
    started = {"node": platform.node(), "time": time.time()}
    (folder / STARTED).write_text(json.dumps(started), "utf-8")
    try:
        answer = _answer(request, folder, run)
    except CancelledError:
        return 143
    if "result" not in answer:
        time.sleep(SECONDS_FOR_SIGNAL)
        if run.cancelled:
            return 143
    write_atomically(folder / OUTPUT, json.dumps({**answer, "node": platform.node()}))
    return 0 if "result" in answer else 1


def _answer(request: dict[str, Any], folder: Path, run: NodeRun) -> dict[str, Any]:
    started = time.monotonic()
    try:
        context, stage = _opened(request, run)
        remove(folder / OUT)
        (folder / OUT).mkdir()
        try:
            check_workers(context, [stage.name])
            result = codec.encode(stage.run(context, folder / OUT))
        except OSError as error:
            needed = disk_needed(context, [stage.name])
            raise failure(error, folder, needed) or error from error
        return {"result": result, "seconds": time.monotonic() - started}
    except HubkitError as error:
        known = next(k for k in type(error).__mro__ if k.__module__ == HubkitError.__module__)
        return {"error": {**error.to_json(), "error": known.__name__}}
    except Exception as error:
        traceback.print_exc()
        return {"bug": "".join(traceback.format_exception(error))}


def _join(request: dict[str, Any], folder: Path) -> int:
    """On every node but the first; what goes wrong here is told in the job's output."""
    remove(folder)
    folder.mkdir()
    run = NodeRun(folder / PROGRESS)
    signal.signal(signal.SIGTERM, run.cancel)
    try:
        context, stage = _opened(request, run)
        if stage.join is not None:
            check_workers(context, [stage.name])
            stage.join(context, folder)
        return 0
    except CancelledError:
        return 143
    except HubkitError as error:
        sys.stderr.write(f"{platform.node()}: {error}\n")
        return 1


def _opened(request: dict[str, Any], run: NodeRun) -> tuple[Context, Stage[Any]]:
    _check_version(str(request["hubkit"]))
    spec = Spec.model_validate(request["spec"])
    nodes = Nodes(int(os.environ.get("PET_NNODES", "1")), _rank())
    context = Context(spec, Workspace(Path(request["workdir"]), spec.name), run, nodes)
    return context, stage_named(request["stage"])


def _rank() -> int:
    return int(os.environ.get("PET_NODE_RANK", "0"))


def _check_version(submitted: str) -> None:
    if submitted != __version__:
        raise EnvironmentFailure(
            f"{platform.node()} has hubkit {__version__} in {sys.executable}, and the job was "
            f"submitted by hubkit {submitted}",
            f"install hubkit-vlm {submitted} there, or name a Python that has it with "
            "`where.python`",
        )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
