"""Options of the hub, and the name of a repository."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from hubkit.sdk import UsageError
from hubkit.sdk.hubs import ApiOptions

MASTER = "master"
"""ModelScope makes tags from this branch only."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Options(ApiOptions):
    """`license` and `chinese_name` are for a repository that is made, as `private` is; an empty
    licence is read from the card. `undo` is what `withdraw` does: ModelScope's API can neither
    delete a tag nor change the visibility. An empty `endpoint` is MODELSCOPE_ENDPOINT or
    modelscope.cn."""

    timeout: int = 120
    license: str = ""
    chinese_name: str = ""
    branch: str = MASTER
    undo: Literal["empty", "nothing"] = "empty"


def repository(target: str) -> str:
    """`organisation/name`.

    Raises:
        UsageError: not a name that ModelScope takes.
    """
    name = target.strip()
    if not _REPOSITORY.fullmatch(name) or ".." in name or name.endswith(".git"):
        message = f"modelscope target {target!r} is not organisation/name"
        raise UsageError(message, "write modelscope:organisation/InternVL2-2B-Name")
    return name
