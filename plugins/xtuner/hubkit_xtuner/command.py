"""The command that trains, with the environment's own interpreter. (`xtuner train` runs whatever
`python` is on PATH and ends with 0 when that fails.)"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from .options import Options

MODULE = "hubkit_xtuner.launch"


def in_a_job(host: Mapping[str, str]) -> bool:
    """Whether hubkit starts this training on every node, and not the user."""
    return host.get("PET_NNODES", "1") != "1"


def command(
    options: Options,
    config: Path,
    work: Path,
    *,
    gpu: bool,
    resume: Path | None,
    interpreter: str = "",
) -> list[str]:
    """On a CPU one process; on GPUs torchrun, which sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR
    and MASTER_PORT: DeepSpeed asks for them (or for mpi4py) on a single device too."""
    arguments = [str(config), "--work-dir", str(work)]
    if resume:
        arguments += ["--resume", str(resume)]
    if strategy := deepspeed(options, gpu):
        arguments += ["--deepspeed", strategy]
    python = interpreter or sys.executable
    if not gpu:
        return [python, "-m", MODULE, *arguments]
    where = ["--standalone", "--nnodes", "1"]
    if options.nodes > 1:
        where = ["--nnodes", str(options.nodes), "--node_rank", str(options.node_rank)]
        where += ["--master_addr", options.master_addr, "--master_port", str(options.master_port)]
    run = [
        python,
        "-m",
        "torch.distributed.run",
        *where,
        "--nproc_per_node",
        str(options.devices),
        "-m",
        MODULE,
    ]
    return [*run, *arguments, "--launcher", "pytorch"]


def deepspeed(options: Options, gpu: bool) -> str:
    """The name of xtuner's own settings; "" for none."""
    name = options.deepspeed
    if name == "auto":
        name = "zero2" if gpu else "none"
    return "" if name == "none" else f"deepspeed_{name}"


def variables(options: Options, host: Mapping[str, str]) -> dict[str, str]:
    """mmengine's --resume reads its own pickles, which torch 2.6 and newer refuse unless told so.
    The launcher reads the HUBKIT_XTUNER_ ones."""
    threads = {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}
    own = {
        "HUBKIT_XTUNER_CODE": "remote" if options.allow_remote_code else "own",
        "HUBKIT_XTUNER_ATTENTION": options.attention,
    }
    return {
        **host,
        **threads,
        **own,
        "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1",
        "PYTHONUNBUFFERED": "1",
    }


def for_other_nodes(options: Options, config: Path, work: Path, resume: Path | None) -> list[str]:
    """What the user runs on the other nodes, in an environment like this one's."""
    from dataclasses import replace

    path = f"PYTHONPATH={shlex.quote(os.environ.get('PYTHONPATH', ''))}"
    ranks = [rank for rank in range(options.nodes) if rank != options.node_rank]
    commands = [
        command(replace(options, node_rank=rank), config, work, gpu=True, resume=resume)
        for rank in ranks
    ]
    return [
        f"node {rank}: {path} {shlex.join(one)}" for rank, one in zip(ranks, commands, strict=True)
    ]
