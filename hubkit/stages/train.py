"""train: base model + records -> an adapter, by a trainer plugin in its own process; or the adapter that the spec names."""

from __future__ import annotations

from pathlib import Path

from ..environments import call
from ..registry import plugins
from ..sdk import TrainInput, TrainOutput
from . import _given, prepare
from ._stage import Context, Stage, plugin_inputs
from ._workers import discard_worker, environment, inside, native_view, seconds


def _inputs(context: Context) -> dict[str, str]:
    train = context.spec.train
    if train.adapter is not None:
        return {"base": context.base_digest, "adapter": _given.digest(context, train.adapter)}
    own = {"base": context.base_digest, "seed": str(context.spec.seed)}
    return own | plugin_inputs("trainer", train.trainer, train.options, train.environment) | context.upstream(prepare.STAGE)


def _run(context: Context, out: Path) -> TrainOutput:
    train, base = context.spec.train, context.base
    if train.adapter is not None:
        return _given.take(train.adapter, out)
    native = native_view(base, context.workspace.native("base", context.base_digest), context.run)
    scratch = context.workspace.scratch(STAGE.name)
    scratch.mkdir(parents=True, exist_ok=True)
    job = TrainInput(
        base=base.folder, native=native, groups=base.family.native(base.config).groups, vision=base.vision,
        records=context.folder(prepare.STAGE) / prepare.TRAIN, images=context.images,
        output=out, scratch=scratch, seed=context.spec.seed, options=train.options,
    )  # fmt: skip
    trainer = plugins().get("trainer", train.trainer)
    result: TrainOutput = call(
        trainer,
        "train",
        job,
        environment=environment(train.environment),
        run=context.run,
        folder=out / "worker",
        deadline=seconds(train.deadline),
    )
    discard_worker(out)
    for name in (result.adapter, result.metrics):
        inside(out, name, f"trainer {train.trainer}")
    return result


STAGE = Stage(
    name="train",
    purpose="train the adapter",
    result=TrainOutput,
    inputs=_inputs,
    run=_run,
    summary=lambda r: (
        f"{r.steps:,} steps on {r.samples:,} samples, {r.trainable_parameters:,} trainable parameters"
        if r.steps
        else f"an adapter trained before, {r.trainable_parameters:,} parameters"
    ),
)
