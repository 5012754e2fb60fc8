"""What a worker's ending means: its answer, or the error that explains it."""

from __future__ import annotations

import json
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.sdk import CancelledError, Health, HubkitError, PluginError, UsageError
from hubkit.sdk.codec import decode
from hubkit.sdk.errors import from_json
from hubkit.sdk.files import read_text

from .process import Ending

LARGEST_ANSWER = 64 << 20
TAIL_BYTES = 1 << 16
TAIL_LINES = 20
LONGEST_SHOWN = 300
REPORT_IT = "this is a bug of the plugin: report it to its author with the log"

SIGNALS = {
    "SIGSEGV": (
        "a segmentation fault in native code",
        "reinstall the plugin's packages in versions that fit one another",
    ),
    "SIGABRT": ("native code gave up", "read the log's last lines"),
    "SIGBUS": (
        "a file that shrank while it was mapped, or a full disk",
        "check the disk and the model's files",
    ),
    "SIGILL": (
        "an instruction that this processor lacks",
        "install packages that are built for this processor",
    ),
    "SIGKILL": (
        "most likely by the system because memory ran out",
        "free memory, lower the batch size, or run where there is more memory",
    ),
    "SIGTERM": ("something asked it to end", "run the same command again to continue"),
}


@dataclass(frozen=True)
class Answer:
    """Exactly one of the three is set."""

    result: Any = None
    error: HubkitError | CancelledError | None = None
    health: Health | None = None


def read_answer(who: str, output: Path, folder: Path) -> Answer:
    """Reads output.json.

    Raises:
        PluginError: it is too large or not what a worker writes.
    """
    size = output.stat().st_size
    if size > LARGEST_ANSWER:
        message = (
            f"{who}: its result has {size:,} bytes, more than the {LARGEST_ANSWER:,} allowed "
            f"({output})"
        )
        raise PluginError(
            message, "the plugin must leave large results in files: report it to its author"
        )
    try:
        data = json.loads(
            read_text(output, LARGEST_ANSWER)
        )  # a model may say half a surrogate pair
        if data["ok"] is True:
            return Answer(result=data["result"])
        if "health" in data:
            return Answer(health=decode(Health, data["health"], "health"))
        return Answer(error=_error(who, data["error"], folder))
    except (
        OSError,
        ValueError,
        RecursionError,
        LookupError,
        TypeError,
        AttributeError,
        UsageError,
    ) as error:
        message = f"{who}: {output} is not a worker's answer ({type(error).__name__}: {error})"
        raise PluginError(message, REPORT_IT) from None


def _error(who: str, data: dict[str, Any], folder: Path) -> HubkitError | CancelledError:
    """The plugin's own error as it is; where the plugin itself is at fault, with its
    traceback's end and the log."""
    error = from_json(data)
    if "traceback" not in data and not isinstance(error, PluginError):
        return error
    lines = shown(str(data.get("traceback", "")))
    return type(error)(
        f"{who}: {error.message}\n{lines}".rstrip(), f"{error.remedy} ({folder / 'stderr.log'})"
    )


def failure(
    who: str, call: str, ending: Ending, deadline: float | None, folder: Path
) -> HubkitError:
    """Why a worker left no answer, with the last lines of its log."""
    log = folder / "stderr.log"
    lines = tail(log)
    if not lines:
        log = folder / "stdout.log"
        lines = tail(log)
    if ending.hung:
        what, remedy = (
            f"did not finish `{call}` within {deadline:g} s and was ended",
            "allow more time, or see where it hung",
        )
    elif ending.code < 0:
        name = _signal(-ending.code)
        why, remedy = SIGNALS.get(name, ("a signal", "read the log's last lines"))
        what = f"died of {name} in `{call}`: {why}"
    else:
        what, remedy = (
            f"ended with exit code {ending.code} in `{call}` and left no result",
            "see the log",
        )
    end = f"\n{lines}" if lines else " (its logs are empty)"
    return PluginError(f"{who} {what}{end}", f"{remedy} ({log})")


def tail(log: Path) -> str:
    """The last lines of a log of any size, as `shown`."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        return shown(file.read(TAIL_BYTES).decode("utf-8", "replace"))


def shown(text: str) -> str:
    """The last lines of `text` that hold something, without control characters, one indented line
    each."""
    printable = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "", text)
    lines = [
        line.rsplit("\r", 1)[-1].rstrip() for line in printable.replace("\r\n", "\n").split("\n")
    ]
    return "\n".join(
        f"    {line[:LONGEST_SHOWN]}" for line in [line for line in lines if line][-TAIL_LINES:]
    )


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
