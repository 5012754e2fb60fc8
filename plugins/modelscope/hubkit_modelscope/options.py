"""Options of the hub, and the name of a repository."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hubkit.sdk import UsageError
from hubkit.sdk.codec import decode

MASTER = "master"
"""ModelScope makes tags from this branch only."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


@dataclass(frozen=True)
class Options:
    """`endpoint` is another site or an own server; empty: MODELSCOPE_ENDPOINT or modelscope.cn. `private`, `license` and
    `chinese_name` are for a repository that is made; an empty licence is read from the card. `replace` allows a first release
    over files that are no release. The token comes from the variable `token_env`, the file `token_file`, or the client's own
    store. `timeout` is seconds without an answer, `patience` the seconds that may be spent on waiting before requests are
    repeated. `undo` is what `withdraw` does: ModelScope's API can neither delete a tag nor change the visibility."""

    endpoint: str = ""
    private: bool = True
    license: str = ""
    chinese_name: str = ""
    branch: str = MASTER
    replace: bool = False
    token_env: str = ""
    token_file: str = ""
    timeout: int = 120
    patience: float = 300.0
    undo: Literal["empty", "nothing"] = "empty"

    def __post_init__(self) -> None:
        if self.token_env and not _VARIABLE.fullmatch(self.token_env):
            raise ValueError("token_env is not the name of an environment variable; its value is not shown")
        if self.token_env and self.token_file:
            raise ValueError("give token_env or token_file, not both")
        if self.timeout <= 0 or self.patience < 0:
            raise ValueError("timeout must be positive and patience not negative")
        if self.endpoint and not re.fullmatch(r"https?://[^/@?#\s]+(/[^@?#\s]*)?", self.endpoint):
            raise ValueError("endpoint must be an http(s) URL without credentials; its value is not shown")


def parse(options: Mapping[str, Any]) -> Options:
    return decode(Options, dict(options), "options of the hub modelscope")


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
