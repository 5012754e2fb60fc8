"""What can be known to fail before a training starts."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from hubkit.sdk import EnvironmentFailure, UsageError

from .command import deepspeed
from .options import Options


def uses_gpu(options: Options) -> bool:
    """Raises EnvironmentFailure when GPUs are asked for that are not there."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if options.device == "cuda" and not count:
        raise EnvironmentFailure(
            "device is cuda, but torch sees no GPU",
            "set device: cpu, or use an environment with CUDA",
        )
    gpu = bool(count) and options.device != "cpu"
    if gpu and options.devices > count:
        raise EnvironmentFailure(
            f"devices is {options.devices}, torch sees {count}", f"set devices: {count}"
        )
    if not gpu and (options.devices > 1 or options.nodes > 1):
        raise EnvironmentFailure(
            "several devices need GPUs, and torch sees none", "set devices: 1 and nodes: 1"
        )
    return gpu


def installed(options: Options, gpu: bool) -> None:
    """Raises EnvironmentFailure for a package or device that an option needs."""
    strategy = deepspeed(options, gpu)
    if strategy and not gpu:
        raise EnvironmentFailure(
            f"{strategy} needs GPUs, and torch sees none", "set deepspeed: none"
        )
    if strategy and find_spec("deepspeed") is None:
        raise EnvironmentFailure(
            f"{strategy} needs DeepSpeed",
            "set deepspeed: none, or DS_BUILD_OPS=0 DS_ACCELERATOR=cpu pip install "
            "deepspeed==0.16.2",
        )
    if options.quantize and not gpu:
        raise EnvironmentFailure(
            "quantize (QLoRA) needs a GPU: bitsandbytes' 4-bit layers run on CUDA",
            "set quantize: false",
        )
    if options.quantize and find_spec("bitsandbytes") is None:
        raise EnvironmentFailure(
            "quantize (QLoRA) needs bitsandbytes", "pip install bitsandbytes==0.45.0"
        )
    if options.attention == "flash_attention_2" and find_spec("flash_attn") is None:
        raise EnvironmentFailure(
            "attention is flash_attention_2, but flash-attn is not installed", "set attention: auto"
        )


def files(options: Options) -> None:
    """Raises UsageError for a checkpoint that is not there."""
    for name in ("resume", "load_from"):
        path = getattr(options, name)
        if path and not Path(path).expanduser().exists():
            raise UsageError(f"{name}: there is no {path}", "correct the path, or leave it out")


def disk(folder: Path, needed: int, checkpoints: int) -> None:
    """Raises EnvironmentFailure when `needed` bytes are not free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise EnvironmentFailure(
            f"{checkpoints} checkpoints and the adapter need {needed / 1e9:.1f} GB, "
            f"{free / 1e9:.1f} GB are free in {folder}",
            "free space, lower keep, raise save_every, or set save_optimizer: false",
        )
