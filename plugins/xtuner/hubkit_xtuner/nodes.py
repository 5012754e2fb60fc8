"""One node of several: which it is, as the job says that hubkit runs in, and what all but the first
do."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Mapping
from dataclasses import replace

from hubkit.sdk import EnvironmentFailure, PluginError, Run, TrainInput, TrainOutput, UsageError
from hubkit.sdk.child import last_lines, run_logged

from . import checks, command, config
from .options import Options
from .running import LOG, newest
from .setup import WORK

SECONDS_BETWEEN_LOOKS = 1.0


def placed(options: Options, host: Mapping[str, str]) -> Options:
    """`options` with the place that torchrun's variables give this node.

    Raises:
        UsageError: the options give one as well.
        EnvironmentFailure: some of the variables are missing or no numbers.
    """
    if not command.in_a_job(host):
        return options
    if options.nodes > 1:
        raise UsageError(
            f"where.nodes is {host['PET_NNODES']}, and the options say nodes: {options.nodes} too",
            "remove nodes, node_rank, master_addr and master_port from train.options",
        )
    try:
        return replace(
            options,
            nodes=int(host["PET_NNODES"]),
            node_rank=int(host["PET_NODE_RANK"]),
            master_addr=host["PET_MASTER_ADDR"],
            master_port=int(host["PET_MASTER_PORT"]),
        )
    except (KeyError, ValueError) as error:
        raise EnvironmentFailure(
            f"{platform.node()} cannot tell which of several nodes it is: {error}",
            "set PET_NNODES, PET_NODE_RANK, PET_MASTER_ADDR and PET_MASTER_PORT on every node",
        ) from None


def join(job: TrainInput, options: Options, run: Run) -> TrainOutput:
    """Trains with the first node, by the configuration and from the checkpoint that it has put into
    the scratch folder, which all share. Nothing of the result is this node's.

    Raises:
        PluginError: the training ended badly here; with the end of its log.
    """
    gpu = checks.uses_gpu(options)
    checks.installed(options, gpu)
    _wait_for_first(options, run)
    work = job.scratch / WORK
    start = newest(work, options, run)
    line = command.command(options, job.scratch / config.EFFECTIVE, work, gpu=gpu, resume=start)
    output = job.output / LOG
    variables = command.variables(options, os.environ)
    code = run_logged(line, output, run, cwd=job.output, variables=variables)
    if code:
        raise PluginError(
            f"xtuner ended with exit code {code} on node {options.node_rank}\n{last_lines(output)}",
            f"see the log, {output}",
        )
    return TrainOutput("", "xtuner", "", 0, 0, 0, {})


def _wait_for_first(options: Options, run: Run) -> None:
    """Its torchrun listens once it has prepared everything; what lies in the scratch folder before
    may be of another training."""
    while True:
        run.check_cancelled()
        try:
            socket.create_connection((options.master_addr, options.master_port), 5.0).close()
        except OSError:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        else:
            return
