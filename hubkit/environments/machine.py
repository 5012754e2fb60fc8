"""What this machine offers an environment: platform, CUDA driver, Pythons."""

from __future__ import annotations

import ctypes
import itertools
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

PROBE_SECONDS = 20


def platform_name() -> str:
    """Such as `linux_x86_64` or `darwin_arm64`."""
    return f"{sys.platform}_{platform.machine()}"


@cache
def cuda() -> int:
    """The CUDA major version that the NVIDIA driver offers, such as 12; 0 without a driver or a
    GPU."""
    if not (any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/dxg").exists()):
        return 0
    version = ctypes.c_int()
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return 0
    return version.value // 1000


def gpus(host: Mapping[str, str]) -> tuple[str, ...]:
    """The NVIDIA GPUs that a program with the variables `host` sees, as CUDA_VISIBLE_DEVICES names
    them. CUDA reads that list up to its first invalid entry, such as -1."""
    named = host.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        count = len([*Path("/dev").glob("nvidia[0-9]*")]) or int(Path("/dev/dxg").exists())
        return tuple(map(str, range(count)))
    listed = [one.strip() for one in named.split(",")]
    return tuple(itertools.takewhile(lambda one: one not in ("", "-1"), listed))


def python(version: str) -> Path | None:
    """An interpreter of `version` (`3.11`): hubkit's own, or the first `python3.11` on PATH that
    runs."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return Path(sys.executable)
    for place in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(f"python{version}", path=place) if place else None
        if found and _runs(found, version):
            return Path(found).absolute()
    return None


@cache
def _runs(program: str, version: str) -> bool:
    """False for one that is broken, or a version manager's shim for a version that is switched
    off."""
    code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run(
            [program, "-I", "-c", code],
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version
