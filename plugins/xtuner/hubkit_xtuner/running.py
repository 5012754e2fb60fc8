"""Runs the training process until the last iteration is saved, from a checkpoint when there is
one."""

from __future__ import annotations

import os
from pathlib import Path

from hubkit.sdk import CancelledError, EnvironmentFailure, PluginError, Run
from hubkit.sdk.child import last_lines, ran_out_of_memory, run_logged

from . import checkpoints, command, log
from .log import Line
from .options import Options
from .setup import Training

LOG = "train.log"


def train(training: Training, run: Run) -> dict[int, Line]:
    """What was logged, by step.

    Raises:
        EnvironmentFailure: memory is too small.
        PluginError: xtuner ended, with whatever exit code, without its last checkpoint; with the
            end of its log.
        CancelledError: interrupted; or this is not node 0, which alone goes on.
    """
    job, options = training.job, training.options
    last = training.plan.iterations
    if last not in checkpoints.found(training.work):
        start = newest(training.work, options, run)
        line = command.command(
            options, training.config_file, training.work, gpu=training.gpu, resume=start
        )
        if options.nodes > 1 and not command.in_a_job(os.environ):
            for text in command.for_other_nodes(
                options, training.config_file, training.work, start
            ):
                run.note(text)
        output = job.scratch / LOG
        variables = command.variables(options, os.environ)
        code = run_logged(
            line,
            output,
            run,
            cwd=job.scratch,
            variables=variables,
            line=lambda text: _told(text, training, run),
        )
        if options.node_rank:
            raise CancelledError(
                f"node {options.node_rank} has done its part (exit code {code})",
                "the release goes on at node 0",
            )
        if last not in checkpoints.found(training.work):
            raise _failure(training, code, output)
        _prune(training)
    return log.read(training.work)


def newest(work: Path, options: Options, run: Run) -> Path | None:
    """The newest whole checkpoint of this training, else the one that the release names."""
    here = checkpoints.found(work) if options.save_optimizer else {}
    if here:
        last = max(here)
        run.note(f"continuing after iteration {last}")
        return here[last]
    return Path(options.resume).expanduser() if options.resume else None


def _told(text: str, training: Training, run: Run) -> None:
    """A line of the log: progress, and a moment to remove what is not kept."""
    if line := log.parse(text):
        run.progress(
            min(line.step, line.total),
            line.total,
            "iterations",
            loss=line.loss,
            eta_seconds=line.eta,
        )
        _prune(training)


def _prune(training: Training) -> None:
    """Removes what is neither among the newest nor the best. What is still being written is not
    found yet."""
    options, work = training.options, training.work
    if options.keep_best and options.keep != -1:
        here = list(checkpoints.found(work))
        if len(here) > (options.keep or 1):
            losses = checkpoints.mean_losses(list(training.plan.saved), log.read(work))
            known = {iteration: losses[iteration] for iteration in here if iteration in losses}
            checkpoints.prune(work, known, newest=options.keep or 1, lowest=options.keep_best)


def _failure(training: Training, code: int, output: Path) -> Exception:
    if ran_out_of_memory(output):
        return EnvironmentFailure(
            f"not enough memory for batches of {training.config['train_dataloader']['batch_size']}",
            "lower batch_size and raise accumulation by the same factor, lower max_length, or set "
            "deepspeed: zero2_offload",
        )
    reached = max(log.read(training.work), default=0)
    message = (
        f"xtuner ended with exit code {code} after iteration {reached} of "
        f"{training.plan.iterations}, without its last "
    )
    shown = last_lines(output, lambda text: log.parse(text) is not None)
    return PluginError(f"{message}checkpoint\n{shown}", f"see the log, {output}")
