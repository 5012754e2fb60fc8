"""A stage that runs as a job on another machine, as seen from here: submitted once, followed,
collected.

`.hubkit/<release>/jobs/<stage>/`, in which the job works too (on_node.py):

job.json        the scheduler's job: its name before it is submitted, then its id
request.json    what the job is to do
progress.jsonl  what it tells, a line each
started.json    on which node, and what time it was there
out/            the stage's folder, which is sealed here
output.json     its result or its error; appears whole or not at all
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import __version__
from ..digests import write_atomically
from ..errors import CancelledError, UsageError
from ..files.disk import remove
from ..interruption import unhurried
from ..scheduling import SCHEDULERS, Job, Scheduler
from ..sdk import codec, json_text
from ..sdk.errors import from_json
from .following import follow
from .placing import check_environments, check_paths, job_for, new_name
from .stage import Context, Stage
from .workspace import Workspace

RECORD, REQUEST, OUTPUT, OUT = "job.json", "request.json", "output.json", "out"
SECONDS_TO_CANCEL = 60.0


@dataclass(frozen=True)
class Record:
    """`id` is empty until the scheduler has given one; `inputs` are the stage's when the job was
    submitted, and `flags` those by which the scheduler is reached."""

    scheduler: str
    name: str
    id: str
    inputs: Mapping[str, str]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Collected:
    """`folder` holds what the stage wrote, `result` is its result as JSON, `seconds` how long the
    last attempt took."""

    folder: Path
    result: Any
    seconds: float


def check(stage: Stage[Any], context: Context) -> None:
    """Raises EnvironmentFailure when the scheduler would refuse the stage's job, unless that was
    submitted before, and UsageError when its environment depends on the machine."""
    check_environments(stage.name, context.spec)
    if _read(context.workspace.job(stage.name)) is not None:
        return
    where = context.spec.where_of(stage.name)
    check_paths(context, where)
    SCHEDULERS[where.scheduler](where.flags).check(
        job_for(stage, context, new_name(stage, context.spec), where)
    )


def refuse_running(stage: Stage[Any], context: Context) -> None:
    """Raises UsageError when a job of this stage is still at work, which is to run here now."""
    if (record := _read(context.workspace.job(stage.name))) is None:
        return
    scheduler, job = _scheduled(stage, context, record)
    id = record.id or scheduler.find(job)
    if id and scheduler.state(id, job).phase in ("waiting", "running"):
        raise UsageError(
            f"{stage.name} runs already as {record.scheduler} job {id}",
            f"`{scheduler.cancelling(id)}`, or run it with `where: {record.scheduler}` to follow "
            "the job",
        )
    remove(context.workspace.job(stage.name))


def cancel_jobs(workspace: Workspace) -> None:
    """Cancels what a release has at work elsewhere, and nobody follows; its checkpoints stay."""
    for folder in sorted(workspace.job("").glob("*")):
        if (record := _read(folder)) is not None and record.id:
            SCHEDULERS[record.scheduler](record.flags).cancel(record.id)


def run(stage: Stage[Any], context: Context) -> Collected:
    """Follows the stage's job until it is done; submits one unless it is there.

    Raises:
        UsageError: a job of this stage is at work with other inputs.
        EnvironmentFailure: the scheduler refuses the job or does not answer, or the job failed.
        CancelledError: the user interrupted; says whether the job goes on.
        HubkitError: what the stage raised there.
    """
    record = _attached(stage, context) or _submitted(stage, context)
    scheduler, job = _scheduled(stage, context, record)
    with _interruptible(scheduler, job, record, context):
        failure = follow(scheduler, record.id, job, job.folder / OUTPUT, context.run)
    answer = {} if failure else json_text.load(job.folder / OUTPUT)
    if "result" in answer:
        return Collected(job.folder / OUT, answer["result"], float(answer["seconds"]))
    error = failure or _error(stage, answer)
    context.workspace.keep_logs(stage.name, job.folder, error)
    remove(job.folder)
    raise error


def _error(stage: Stage[Any], answer: Mapping[str, Any]) -> Exception | CancelledError:
    if "error" in answer:
        return from_json(answer["error"])
    return RuntimeError(f"{stage.name} on {answer['node']}: {answer['bug']}")


def _attached(stage: Stage[Any], context: Context) -> Record | None:
    """The job that an earlier command has submitted; None when there is none that counts."""
    folder = context.workspace.job(stage.name)
    if (record := _read(folder)) is None:
        return None
    scheduler, job = _scheduled(stage, context, record)
    id = record.id or scheduler.find(job)
    state = scheduler.state(id, job) if id else None
    alive = state is not None and state.phase in ("waiting", "running")
    given = (folder / OUTPUT).exists() and (folder / OUT).is_dir()
    known = state is not None and (state.phase != "unknown" or given)
    now = context.inputs(stage)
    if id and alive and now != record.inputs:
        changed = [n for n in {*now, *record.inputs} if now.get(n) != record.inputs.get(n)]
        raise UsageError(
            f"{stage.name} runs already as {record.scheduler} job {id}, with other inputs: "
            f"{', '.join(sorted(changed))} changed since",
            f"`{scheduler.cancelling(id)}` and run the same command again, or undo the change",
        )
    if id and known and state and now == record.inputs:
        context.run.note(f"{record.scheduler} job {id} was submitted before: {state.told}")
        found = replace(record, id=id)
        _write(folder, found)
        return found
    if id and state and not known:
        context.run.note(f"{record.scheduler} job {id} is gone ({state.told}): submitting anew")
    remove(folder)
    return None


def _submitted(stage: Stage[Any], context: Context) -> Record:
    spec, workspace = context.spec, context.workspace
    where, folder = spec.where_of(stage.name), workspace.job(stage.name)
    remove(folder)
    folder.mkdir(parents=True)
    record = Record(where.scheduler, new_name(stage, spec), "", context.inputs(stage), where.flags)
    request = {
        "hubkit": __version__,
        "name": record.name,
        "stage": stage.name,
        "workdir": str(workspace.folder.parent.parent),
        "spec": spec.model_dump(mode="json"),
    }
    (folder / REQUEST).write_text(json.dumps(request, ensure_ascii=False), "utf-8")
    workspace.digests.save()  # the node need not hash what was hashed here
    _write(folder, record)
    scheduler, job = _scheduled(stage, context, record)
    record = replace(record, id=scheduler.submit(job))
    _write(folder, record)
    context.run.note(f"submitted as {record.scheduler} job {record.id}")
    return record


@contextmanager
def _interruptible(
    scheduler: Scheduler, job: Job, record: Record, context: Context
) -> Iterator[None]:
    who = f"{record.scheduler} job {record.id}"
    try:
        yield
    except KeyboardInterrupt:
        with unhurried():
            try:
                cancels = context.run.cancels(who)
            except KeyboardInterrupt:
                cancels = False
            if cancels:
                scheduler.cancel(record.id)
                _until_ended(scheduler, job, record.id)
        if cancels:
            remove(job.folder)
            raise CancelledError(
                f"interrupted; {who} is cancelled",
                "run the same command again to go on from the last checkpoint",
            ) from None
        raise _left(scheduler, who, record.id) from None
    except CancelledError:
        raise _left(scheduler, who, record.id) from None


def _left(scheduler: Scheduler, who: str, id: str) -> CancelledError:
    return CancelledError(
        f"interrupted; {who} goes on",
        f"run the same command again to follow it, or `{scheduler.cancelling(id)}`",
    )


def _until_ended(scheduler: Scheduler, job: Job, id: str) -> None:
    """What it still writes must not meet the next job's work."""
    end = time.monotonic() + SECONDS_TO_CANCEL
    while time.monotonic() < end and scheduler.state(id, job).phase in ("waiting", "running"):
        time.sleep(0.5)


def _scheduled(stage: Stage[Any], context: Context, record: Record) -> tuple[Scheduler, Job]:
    where = context.spec.where_of(stage.name)
    return SCHEDULERS[record.scheduler](record.flags), job_for(stage, context, record.name, where)


def _read(folder: Path) -> Record | None:
    path = folder / RECORD
    try:
        record = codec.decode(Record, json_text.load(path), str(path))
    except (OSError, ValueError, UsageError):
        return None
    return record if record.scheduler in SCHEDULERS else None


def _write(folder: Path, record: Record) -> None:
    write_atomically(folder / RECORD, json.dumps(codec.encode(record)))
