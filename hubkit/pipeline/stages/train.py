"""train: base model + records -> an adapter, by a trainer plugin in its own process; or the adapter
that the spec names."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from ...environments import call
from ...environments.outputs import discard_worker, inside
from ...errors import UsageError
from ...registry.plugins import plugins
from ...sdk import Foreseen, TrainInput, TrainOutput, token_ids
from ...weights.convert import native_view
from ...weights.native_files import write_native_files
from .. import given_adapter
from ..spec.fields import environment
from ..spec.model import Spec
from ..stage import Context, Stage, plugin_inputs, seconds
from . import prepare

SECONDS_BETWEEN_LOOKS = 0.5


def _inputs(context: Context) -> dict[str, str]:
    train = context.spec.train
    if train.adapter is not None:
        return {
            "base": context.base_digest,
            "adapter": given_adapter.digest(context, train.adapter),
        }
    own = {"base": context.base_digest, "seed": str(context.spec.seed)}
    return (
        own
        | plugin_inputs("trainer", train.trainer, train.options, train.environment)
        | context.upstream(prepare.STAGE)
    )


def _run(context: Context, out: Path) -> TrainOutput:
    train, base = context.spec.train, context.base
    if train.adapter is not None:
        return given_adapter.take(train.adapter, out)
    native = native_view(base, context.workspace.native("base", context.base_digest), context.run)
    scratch = context.workspace.scratch(STAGE.name)
    scratch.mkdir(parents=True, exist_ok=True)
    trainer = plugins().get("trainer", train.trainer)
    result: TrainOutput = call(
        trainer,
        "train",
        _job(context, native, out, scratch),
        environment=environment(train.environment),
        run=context.run,
        folder=out / "worker",
        deadline=seconds(train.deadline),
    )
    discard_worker(out)
    for name in (result.adapter, result.metrics):
        inside(out, name, f"trainer {train.trainer}")
    return result


def join(context: Context) -> None:
    """Trains with the first node of several, which this one shares no folder with."""
    native_view(context.base, context.workspace.native("base", context.base_digest), context.run)
    with tempfile.TemporaryDirectory(prefix="hubkit-join-") as folder:
        _join(context, Path(folder))


def _join(context: Context, folder: Path) -> None:
    """The first node writes what all load."""
    train = context.spec.train
    native = context.workspace.native("base", context.base_digest)
    while not native.exists():
        context.run.check_cancelled()
        time.sleep(SECONDS_BETWEEN_LOOKS)
    scratch, out = context.workspace.scratch(STAGE.name), folder / "out"
    for path in (scratch, out):
        path.mkdir(parents=True, exist_ok=True)
    call(
        plugins().get("trainer", train.trainer),
        "train",
        _job(context, native, out, scratch),
        environment=environment(train.environment),
        run=context.run,
        folder=folder / "worker",
        deadline=seconds(train.deadline),
    )


def check_join(spec: Spec) -> None:
    """Raises UsageError when the trainer cannot train with a node that shares no folder."""
    if getattr(plugins().get("trainer", spec.train.trainer), "shared_scratch", False):
        raise UsageError(
            f"trainer {spec.train.trainer} needs a folder that its nodes share; a node that joins "
            "shares none",
            "run it on a cluster with a shared file system (`where: slurm`), or on one node",
        )


def check_nodes(spec: Spec, *, shared: bool = True) -> None:
    """Raises UsageError when the training asks for several nodes and its trainer takes one, or only
    such that share a folder (`shared`)."""
    nodes, name = spec.where_of(STAGE.name).nodes, spec.train.trainer
    if nodes == 1:
        return
    trainer = plugins().get("trainer", name)
    if not getattr(trainer, "several_nodes", False):
        raise UsageError(
            f"where.nodes is {nodes}, and trainer {name} takes one node from hubkit",
            "set where.nodes: 1, or name a trainer that takes several",
        )
    if not shared and getattr(trainer, "shared_scratch", False):
        raise UsageError(
            f"where.nodes is {nodes}, and trainer {name} needs a folder that its nodes share; here "
            "they share none",
            "set where.nodes: 1, or run it on a cluster with a shared file system (`where: slurm`)",
        )


def foresee(context: Context) -> Foreseen:
    """What the trainer says that the training takes; the records must be prepared.

    Raises:
        UsageError: nothing is to be trained, or the trainer cannot tell.
    """
    train, base = context.spec.train, context.base
    if train.adapter is not None:
        raise UsageError(
            "train.adapter is given: nothing will be trained",
            "leave out --dry-run; `hubkit plan` says what runs",
        )
    trainer = plugins().get("trainer", train.trainer)
    if not hasattr(trainer, "foresee"):
        raise UsageError(
            f"trainer {train.trainer} cannot tell beforehand what a training takes",
            "start it with --until train",
        )
    with tempfile.TemporaryDirectory(prefix="foresee-") as temporary:
        folder = Path(temporary)
        for name in ("native", "out", "scratch"):
            (folder / name).mkdir()
        described = base.family.native(base.config, token_ids(base.folder))
        write_native_files(base.folder, folder / "native", described, base.family, base.config)
        job = _job(context, folder / "native", folder / "out", folder / "scratch")
        where = environment(train.environment)
        foreseen: Foreseen = call(
            trainer, "foresee", job, environment=where, run=context.run, folder=folder / "worker"
        )
        return foreseen


def _job(context: Context, native: Path, out: Path, scratch: Path) -> TrainInput:
    base = context.base
    return TrainInput(
        base=base.folder,
        native=native,
        groups=base.family.native(base.config).groups,
        vision=base.vision,
        records=context.folder(prepare.STAGE) / prepare.TRAIN,
        images=context.images,
        output=out,
        scratch=scratch,
        seed=context.spec.seed,
        options=context.spec.train.options,
    )


STAGE = Stage(
    name="train",
    result=TrainOutput,
    inputs=_inputs,
    run=_run,
    summary=lambda r: (
        (
            f"{r.steps:,} steps on {r.samples:,} samples, {r.trainable_parameters:,} trainable "
            "parameters"
        )
        if r.steps
        else f"an adapter trained before, {r.trainable_parameters:,} parameters"
    ),
    join=_join,
)
