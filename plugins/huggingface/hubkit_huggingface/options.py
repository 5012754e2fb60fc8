"""Options of the hub, and the name of a repository."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from hubkit.sdk import UsageError
from hubkit.sdk.hubs import ApiOptions

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_REPOSITORY = re.compile(rf"{_PART}/{_PART}")


@dataclass(frozen=True)
class Options(ApiOptions):
    """`pull_request` leaves main alone. `xet` auto asks the server. `undo` is what `withdraw` does
    besides deleting the tag. An empty `endpoint` is HF_ENDPOINT or huggingface.co."""

    branch: str = "main"
    pull_request: bool = False
    xet: Literal["auto", "on", "off"] = "auto"
    undo: Literal["revert", "private", "delete"] = "revert"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pull_request and self.branch != "main":
            raise ValueError("a pull request goes to main: leave branch out")


def repository(target: str) -> str:
    """`organisation/name`.

    Raises:
        UsageError: not a name that the Hub takes (letters, digits, `-`, `_`, `.`; at most 96
            characters).
    """
    name = target.strip()
    bad = "--" in name or ".." in name or len(name) > 96 or name.endswith(".git")
    if bad or not _REPOSITORY.fullmatch(name):
        raise UsageError(
            f"huggingface target {target!r} is not organisation/name",
            "write huggingface:organisation/InternVL2-2B-Name",
        )
    return name
