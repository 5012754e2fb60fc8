"""The errors that hubkit and its plugins raise; each carries a remedy and decides the exit code.

HubkitError                      1  (never raised itself)
├── UsageError                   2  wrong arguments, a bad value, a file that cannot be read
│   ├── SpecError                2  release.yaml: all problems at once
│   ├── DataError                2  a dataset: names file, record and field
│   └── WeightsError             2  a checkpoint, adapter or safetensors file that does not hold
                                 together
├── RefusedError                 3  a gate said no: audit, smoke, licence, repository name
├── EnvironmentFailure           4  git-lfs, an interpreter, a package or the disk is not up to the
                                 job
│   └── PluginError              4  a plugin failed, crashed, hung or broke its contract
└── RemoteError                  5  a hub failed; safe to run again

CancelledError                 130  interrupted; no Exception, so that no handler of errors takes it
                                    for one and goes on
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class _Told(BaseException):
    """What hubkit says when it ends early: `message` says what is wrong and where, `remedy` what to
    do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}\n  remedy: {self.remedy}"

    def to_json(self) -> dict[str, Any]:
        return {
            "error": type(self).__name__,
            "message": self.message,
            "remedy": self.remedy,
            "exit_code": self.exit_code,
        }


class HubkitError(_Told, Exception):
    """An error: `except HubkitError` catches every kind of it, and no cancellation."""


class UsageError(HubkitError):
    exit_code = 2


class SpecError(UsageError):
    pass


class DataError(UsageError):
    """`code` names the kind of a record's problem, by which a report groups them (`hubkit.sdk.rows`
    lists them)."""

    def __init__(self, message: str, remedy: str, *, code: str = "") -> None:
        super().__init__(message, remedy)
        self.code = code


class WeightsError(UsageError):
    pass


class RefusedError(HubkitError):
    exit_code = 3


class EnvironmentFailure(HubkitError):
    exit_code = 4


class PluginError(EnvironmentFailure):
    pass


class RemoteError(HubkitError):
    exit_code = 5


class CancelledError(_Told):
    """The user has interrupted. It passes through `except Exception`, as KeyboardInterrupt does."""

    exit_code = 130


_KINDS: dict[str, type[HubkitError | CancelledError]] = {
    kind.__name__: kind
    for kind in (
        UsageError,
        SpecError,
        DataError,
        WeightsError,
        RefusedError,
        EnvironmentFailure,
        PluginError,
        RemoteError,
        CancelledError,
    )
}


def from_json(data: Mapping[str, Any]) -> HubkitError | CancelledError:
    """The error that a worker described; an unknown kind becomes a PluginError."""
    kind = _KINDS.get(str(data.get("error")), PluginError)
    return kind(str(data.get("message", "no message")), str(data.get("remedy", "see the log")))
