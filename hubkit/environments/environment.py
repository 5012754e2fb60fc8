"""The interpreter of a worker and the environment variables it gets."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from hubkit.sdk import EnvironmentFailure, UsageError
from hubkit.sdk.excerpt import shown

PASSED = {
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "TORCH_HOME",
    "XDG_CACHE_HOME",
    "CC",
    "CXX",
    "HUBKIT_HOME",
}
PASSED_PREFIXES = (
    "LC_",
    "CUDA_",
    "NVIDIA_",
    "NCCL_",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "PYTORCH_",
    "TRITON_",
    "TORCHINDUCTOR_",
    "HIP_",
    "ROCR_",
    "GLOO_",
    "PET_",
)
SECRET_WORDS = ("TOKEN", "KEY", "SECRET", "PASSW", "CREDENTIAL", "AUTH")
DEFAULTS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""Used where the host says nothing. libgomp's threads spin at barriers by default: one busy
neighbour on a small machine then slows a tiny model's training ten times (torch 2.13 on 2 cores: 60
steps took over 120 s beside a load of 5, and 26 s so)."""
FIXED = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONSAFEPATH": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
}


EnvironmentLike: TypeAlias = "Environment | str | Path | Mapping[str, object]"
"""All that `Environment.parse` understands."""

_VARIANT = re.compile(r"locked:([a-z][a-z0-9]*)")


@dataclass(frozen=True)
class Environment:
    """`python` is the interpreter of the user's own environment; None is the interpreter that runs
    hubkit.

    `locked` is the variant of an environment that hubkit builds from the plugin's lock, "" for the
    one that fits the machine, None when it is not of that kind; `resolve` gives it its `python`.
    """

    python: Path | None = None
    locked: str | None = None

    @classmethod
    def parse(cls, value: EnvironmentLike) -> Environment:
        """From `current`, `locked`, `locked:VARIANT` or an interpreter's path, as the command line
        has them, or from `{locked: VARIANT}` or `{python: PATH}`, as release.yaml has them.

        Raises:
            UsageError: none of them.
        """
        if isinstance(value, Environment):
            return value
        if isinstance(value, Path):
            return cls(value)
        if value == "current":
            return cls()
        if value == "locked":
            return cls(locked="")
        if isinstance(value, Mapping) and set(value) == {"python"} and value["python"]:
            return cls(Path(str(value["python"])))
        if isinstance(value, Mapping) and set(value) == {"locked"} and value["locked"]:
            return cls(locked=str(value["locked"]))
        if isinstance(value, str) and (variant := _VARIANT.fullmatch(value)):
            return cls(locked=variant[1])
        if isinstance(value, str) and "/" in value:
            return cls(Path(value))
        remedy = "write `current`, `locked`, `locked:VARIANT`, or the path of an interpreter"
        raise UsageError(f"not an environment: {shown(value)}", remedy)

    @property
    def interpreter(self) -> Path:
        """Absolute; symbolic links are kept, since a virtual environment's python is one.

        Raises:
            EnvironmentFailure: there is no such program.
        """
        if self.python is None and self.locked is not None:
            raise EnvironmentFailure(
                "a locked environment has no interpreter before it is built",
                "run `hubkit env build`",
            )
        if self.python is None:
            return Path(sys.executable)
        path = self.python.expanduser().absolute()
        if path.is_dir():
            raise EnvironmentFailure(
                f"{path} is a folder, not an interpreter",
                f"name the program, such as {path / 'bin' / 'python'}",
            )
        if not path.is_file() or not os.access(path, os.X_OK):
            raise EnvironmentFailure(
                f"there is no interpreter {path}", "correct the path, or create that environment"
            )
        return path


CURRENT = Environment()


def variables(host: Mapping[str, str], interpreter: Path, path: Path) -> dict[str, str]:
    """A worker's environment: what is allowed of the host's, nothing named like a secret, and
    `path` to import from.

    The interpreter's own folder leads PATH, so that a tool that starts `python` gets the same one.
    """
    kept = allowed(host)
    search = os.pathsep.join([str(interpreter.parent), kept.get("PATH", os.defpath)])
    return {**DEFAULTS, **kept, **FIXED, "PATH": search, "PYTHONPATH": str(path)}


def allowed(host: Mapping[str, str]) -> dict[str, str]:
    """What of the host's variables any child process may have."""
    return {name: value for name, value in host.items() if _passes(name)}


def _passes(name: str) -> bool:
    return (name in PASSED or name.startswith(PASSED_PREFIXES)) and not any(
        word in name.upper() for word in SECRET_WORDS
    )
