"""Which of a plugin's locks fits this machine."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.sdk import EnvironmentFailure, UsageError

from ..sdk.excerpt import did_you_mean
from . import machine
from .locks import Lock, read_locks

AUTOMATIC = ""
"""The variant of `environment: locked`: the one for the newest CUDA that the driver offers, `cpu`
without one."""


@dataclass(frozen=True)
class Choice:
    """`python` is the interpreter that the environment is made from."""

    lock: Lock
    python: Path


def choose(plugin: Any, variant: str = AUTOMATIC) -> Choice:
    """The lock of `plugin` for this machine. A variant that is named is taken whatever the driver
    says.

    Raises:
        UsageError: the plugin has no lock, or none of that variant.
        EnvironmentFailure: none fits; says for each why.
    """
    who = f"{plugin.kind} {plugin.name}"
    locks = read_locks(plugin)
    if not locks:
        message = f"{who} has no lock: it comes without an environment of its own"
        raise UsageError(
            message, "write `environment: current`, or name an interpreter with `{python: PATH}`"
        )
    wanted = [lock for lock in locks if variant in (AUTOMATIC, lock.variant)]
    if not wanted:
        known = sorted({lock.variant for lock in locks})
        raise UsageError(
            f"{who} has no lock of variant {variant!r}{did_you_mean(variant, known)}",
            f"write one of: {', '.join(known)}",
        )
    reasons = {lock.file_name: unfit(lock, automatic=variant == AUTOMATIC) for lock in wanted}
    for lock in preferred([lock for lock in wanted if not reasons[lock.file_name]]):
        if python := machine.python(lock.python):
            return Choice(lock, python)
        reasons[lock.file_name] = f"no python{lock.python} on PATH that runs"
    said = "".join(f"\n  {name}: {reason}" for name, reason in reasons.items())
    raise EnvironmentFailure(
        f"{who}: none of its locks fits this machine:{said}", _remedy(wanted, reasons)
    )


def unfit(lock: Lock, *, automatic: bool = True) -> str:
    """Why `lock` is not for this machine, its Python aside; empty when it is."""
    if lock.platform != machine.platform_name():
        return f"it is for {lock.platform}, this is {machine.platform_name()}"
    if automatic and lock.variant != "cpu":
        offered = machine.cuda()
        if not offered:
            return "there is no NVIDIA driver and GPU here"
        if cuda_of(lock.variant) == 0:
            return "a variant of this name is only taken when it is named"
        if cuda_of(lock.variant) > offered:
            return f"the driver offers CUDA {offered}"
    return ""


def preferred(locks: Sequence[Lock]) -> list[Lock]:
    """Newest CUDA first; then hubkit's own Python, then the newest."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"

    def rank(lock: Lock) -> tuple[int, bool, int]:
        return cuda_of(lock.variant), lock.python == own, int(lock.python.split(".")[1])

    return sorted(locks, key=rank, reverse=True)


def cuda_of(variant: str) -> int:
    """12 for `cu12`; 0 for `cpu` and others."""
    found = re.fullmatch(r"cu(\d+)", variant)
    return int(found[1]) if found else 0


def lacks_gpu(variant: str) -> bool:
    """True for a variant for GPUs on a machine without one."""
    return cuda_of(variant) > 0 and not machine.cuda()


def _remedy(wanted: Sequence[Lock], reasons: dict[str, str]) -> str:
    missing = sorted(
        {lock.python for lock in wanted if reasons[lock.file_name].startswith("no python")}
    )
    if missing:
        return (
            f"install Python {' or '.join(missing)}, or name an interpreter of your own with "
            f"`environment: {{python: PATH}}`"
        )
    variants = sorted({lock.variant for lock in wanted})
    return (
        f"to use one all the same, name it, `environment: {{locked: {variants[0]}}}`, "
        "or an interpreter of your own with `environment: {python: PATH}`"
    )
