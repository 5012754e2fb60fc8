"""Runs one command for hubkit: `python supervisor.py COUNT COMMAND...`; by its path, so standard
library only.

Standard input is a lifeline: when hubkit dies, however that happens, the pipe closes and the whole
process group is killed. What the command says goes to stdout; what pip says of its progress also
becomes a worker's reports on HUBKIT_PROGRESS_FD, with COUNT as the number of packages to come.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

SECONDS_BETWEEN_PROGRESS = 0.2
WORTH_A_NOTE = re.compile(r"\((\d[\d.]*) (MB|GB)\)")


class PipLines:
    """Understands pip's lines: `Collecting NAME`, `Progress DONE of TOTAL` (bytes, `--progress-bar
    raw`), and so on."""

    def __init__(self, descriptor: int, count: int) -> None:
        self._descriptor, self._count = descriptor, count
        self._collected, self._finished, self._current = 0, 0, 0
        self._sent_at = float("-inf")

    def take(self, line: str) -> bool:
        """True when `line` is for the log."""
        words = line.split()
        if (
            words[:1] == ["Progress"]
            and len(words) == 4
            and words[1].isdigit()
            and words[3].isdigit()
        ):
            self._downloaded(int(words[1]), int(words[3]))
            return False
        if words[:1] == ["Collecting"] or (
            words[:1] == ["Processing"] and not line.startswith(" ")
        ):
            self._collected = min(self._collected + 1, self._count)
            self._progress()
        elif words[:1] == ["Downloading"] and WORTH_A_NOTE.search(line):
            self._note(f"downloading {' '.join(words[1:])}")
        elif line.lstrip().startswith("Building wheel for") and line.endswith("started"):
            self._note(f"building {words[3]}")
        elif words[:2] == ["Installing", "collected"]:
            self._note(
                f"installing {self._count} packages"
                if self._count > 1
                else f"installing {words[-1]}"
            )
        return True

    def _downloaded(self, done: int, total: int) -> None:
        self._current = done
        if done == total:
            self._finished, self._current = self._finished + total, 0
        if done == total or time.monotonic() - self._sent_at > SECONDS_BETWEEN_PROGRESS:
            self._progress()

    def _progress(self) -> None:
        self._sent_at = time.monotonic()
        megabytes = round((self._finished + self._current) / 1e6, 1)
        self._send(
            {
                "done": self._collected,
                "total": self._count,
                "unit": "packages",
                "numbers": {"MB": megabytes} if megabytes else {},
            }
        )

    def _note(self, text: str) -> None:
        self._send({"note": text})

    def _send(self, message: dict[str, object]) -> None:
        os.write(self._descriptor, (json.dumps(message) + "\n").encode())


def die_with(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def main(count: int, command: list[str]) -> int:
    descriptor = int(os.environ.pop("HUBKIT_PROGRESS_FD"))
    os.set_inheritable(descriptor, False)
    lifeline = os.dup(0)
    threading.Thread(target=die_with, args=(lifeline,), daemon=True).start()
    lines = PipLines(descriptor, count)
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    with child:
        for raw in child.stdout or ():
            line = raw.decode("utf-8", "replace").rstrip("\n")
            if lines.take(line):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
