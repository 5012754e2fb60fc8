"""Options of the hub, and the name of a repository."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hubkit.sdk import UsageError
from hubkit.sdk.codec import decode

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_REPOSITORY = re.compile(rf"{_PART}/{_PART}")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


@dataclass(frozen=True)
class Options:
    """`endpoint` is a mirror or an own server; empty: HF_ENDPOINT or huggingface.co. `private` is for a repository that is made.
    `replace` allows a first release over files that are no release. The token comes from the variable `token_env`, the file
    `token_file`, or the client's own store. `xet` auto asks the server. `timeout` is seconds without an answer, `patience`
    the seconds that may be spent on waiting before requests are repeated. `undo` is what `withdraw` does besides deleting
    the tag."""

    endpoint: str = ""
    private: bool = True
    branch: str = "main"
    pull_request: bool = False
    replace: bool = False
    token_env: str = ""
    token_file: str = ""
    xet: Literal["auto", "on", "off"] = "auto"
    timeout: float = 60.0
    patience: float = 300.0
    undo: Literal["revert", "private", "delete"] = "revert"

    def __post_init__(self) -> None:
        if self.token_env and not _VARIABLE.fullmatch(self.token_env):
            raise ValueError("token_env is not the name of an environment variable; its value is not shown")
        if self.token_env and self.token_file:
            raise ValueError("give token_env or token_file, not both")
        if self.timeout <= 0 or self.patience < 0:
            raise ValueError("timeout must be positive and patience not negative")
        if self.endpoint and not re.fullmatch(r"https?://[^/@?#\s]+(/[^@?#\s]*)?", self.endpoint):
            raise ValueError("endpoint must be an http(s) URL without credentials; its value is not shown")
        if self.pull_request and self.branch != "main":
            raise ValueError("a pull request goes to main: leave branch out")


def parse(options: Mapping[str, Any]) -> Options:
    return decode(Options, dict(options), "options of the hub huggingface")


def repository(target: str) -> str:
    """`organisation/name`.

    Raises:
        UsageError: not a name that the Hub takes (letters, digits, `-`, `_`, `.`; at most 96 characters).
    """
    name = target.strip()
    bad = "--" in name or ".." in name or len(name) > 96 or name.endswith(".git")
    if bad or not _REPOSITORY.fullmatch(name):
        raise UsageError(
            f"huggingface target {target!r} is not organisation/name", "write huggingface:organisation/InternVL2-2B-Name"
        )
    return name
