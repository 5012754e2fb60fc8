"""What is launched: a command in an image, beside the folder of a release."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...errors import UsageError
from ..scheduler import Needs

_UNITS = {"": "Mi", "K": "Ki", "M": "Mi", "G": "Gi", "T": "Ti"}
"""Slurm counts memory in powers of two, and in megabytes where it says nothing."""

PORT = "29500"
"""Where the nodes meet, torchrun's own default."""


@dataclass(frozen=True)
class Launch:
    """`folder` is the release file's; `outside` are absolute paths beyond it that the release
    reads. `command` starts with a program of the image and runs on the first node, `joining` on
    each further one. `gpu` is the kind of GPU and `claim` the
    PersistentVolumeClaim that holds `folder`, where the system asks for one."""

    name: str
    folder: Path
    outside: tuple[Path, ...]
    command: tuple[str, ...]
    joining: tuple[str, ...]
    image: str
    needs: Needs
    gpu: str = ""
    claim: str = ""

    @property
    def label(self) -> str:
        """The name as DNS takes it (RFC 1123), short enough for the pods' own (63)."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:40].strip("-")

    def script(self, places: Mapping[str, str], limit: str = "") -> str:
        """Bash: the prologue, then the command after the words of `limit`. On several nodes it
        takes torchrun's variables, as the system that runs it knows them, from `places`."""
        lines = ["set -e", *self.needs.prologue.splitlines()]
        first, other = (limit + shlex.join(one) for one in (self.command, self.joining))
        if self.needs.nodes > 1:
            lines += [f"export {name}={value}" for name, value in places.items()]
            first = f'if [ "$PET_NODE_RANK" = 0 ]; then\n  {first}\nelse\n  {other}\nfi'
        return "\n".join([*lines, first, ""])

    @property
    def memory(self) -> str:
        """As Kubernetes writes it, "" when nothing is asked for."""
        return as_kubernetes(self.needs.memory)

    @property
    def seconds(self) -> int | None:
        return None if self.needs.hours is None else round(self.needs.hours * 3600)

    def require(self, key: str, value: str, what: str) -> str:
        """Raises UsageError when the option that holds `value` was not given."""
        if not value:
            raise UsageError(f"{what} is needed", f"give it with --{key}")
        return value


def as_kubernetes(memory: str) -> str:
    """`64G` as `64Gi`; "" stays."""
    found = re.fullmatch(r"(\d+)([KMGT]?)", memory)
    return f"{found[1]}{_UNITS[found[2]]}" if found else ""
