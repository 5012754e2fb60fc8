"""xtuner's checkpoints in the work folder: `iter_N.pth`, a file or, with DeepSpeed and the
optimizer, a folder."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from .log import Line

_NAME = re.compile(r"iter_(\d+)\.pth")
STATES = "mp_rank_00_model_states.pt"
ZERO3 = "zero_pp_rank_0_mp_rank_00_model_states.pt"


def found(work: Path) -> dict[int, Path]:
    """Whole checkpoints by iteration, in order; what a kill left half-written is not among them."""
    paths = (
        ((match, path) for path in work.iterdir() if (match := _NAME.fullmatch(path.name)))
        if work.is_dir()
        else ()
    )
    return dict(sorted((int(match[1]), path) for match, path in paths if is_whole(path)))


def is_whole(path: Path) -> bool:
    """torch's archive ends with its directory: a file that was cut has none. DeepSpeed writes the
    optimizer's parts last, one a device."""
    if path.is_file():
        return zipfile.is_zipfile(path)
    model = (
        [path / STATES]
        if (path / STATES).exists()
        else sorted(path.glob("zero_pp_rank_*_model_states.pt"))
    )
    optimizer = sorted(path.glob("*_optim_states.pt"))
    return bool(model and optimizer) and all(map(zipfile.is_zipfile, [*model, *optimizer]))


def mean_losses(iterations: list[int], lines: Mapping[int, Line]) -> dict[int, float]:
    """The mean logged loss of the iterations before each checkpoint, back to the one before; none
    where nothing was logged."""
    means, start = {}, 0
    for iteration in sorted(iterations):
        losses = [line.loss for step, line in lines.items() if start < step <= iteration]
        if losses:
            means[iteration] = sum(losses) / len(losses)
        start = iteration
    return means


def best(losses: Mapping[int, float], count: int) -> list[int]:
    """The iterations with the lowest loss; of equals the later."""
    return sorted(losses, key=lambda iteration: (losses[iteration], -iteration))[:count]


def prune(work: Path, losses: Mapping[int, float], *, newest: int, lowest: int) -> None:
    """Removes all checkpoints but the newest and those of the lowest loss; at least one stays to
    continue from."""
    here = found(work)
    kept = {
        *list(here)[-max(1, newest) :],
        *best({n: losses[n] for n in here if n in losses}, lowest),
    }
    for iteration in set(here) - kept:
        path = here[iteration]
        shutil.rmtree(path) if path.is_dir() else path.unlink()
