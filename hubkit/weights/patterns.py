"""Regular expressions that came with an adapter, matched by a process of their own: one such as
`((.*)*)*X` would otherwise take longer than anybody waits."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence

from hubkit.sdk.errors import WeightsError
from hubkit.sdk.excerpt import shown

_REMEDY = "write the modules' names into the pattern, or save the adapter again with peft"
_MEMORY = 512 << 20
_PAIRS = 500_000
"""Pairs of a pattern and a name that a second of the processor is enough for."""
_MATCH = """
import json, re, resource, sys
patterns, names, seconds, memory = json.load(sys.stdin)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
compiled = []
for pattern in patterns:
    try:
        compiled.append(re.compile(rf"(.*\\.)?({pattern})$").match)
    except Exception as error:
        json.dump([len(compiled), str(error)], sys.stdout)
        sys.exit()
found = [next((n for n, match in enumerate(compiled) if match(name)), -1) for name in names]
json.dump(found, sys.stdout)
"""


def first_matching(
    patterns: Sequence[str], names: Iterable[str], where: str
) -> dict[str, str | None]:
    """For each name the first pattern that matches it, or its end after a dot, as peft does
    (`get_pattern_key`, peft 0.21).

    Raises:
        WeightsError: one is no regular expression, or matching takes seconds.
    """
    wanted = list(names)
    if not patterns or not wanted:
        return dict.fromkeys(wanted)
    seconds = min(5, 1 + len(patterns) * len(wanted) // _PAIRS)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _MATCH],
        input=json.dumps([patterns, wanted, seconds, _MEMORY]).encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode == -signal.SIGXCPU:
        raise WeightsError(
            f"{where}: matching {shown(patterns)} against {len(wanted):,} names of modules takes "
            f"more than {seconds} s",
            _REMEDY,
        )
    if done.returncode:
        raise WeightsError(f"{where}: {shown(patterns)} cannot be matched", _REMEDY)
    found = json.loads(done.stdout)
    if found and isinstance(found[-1], str):
        raise WeightsError(
            f"{where}: {shown(patterns[found[0]])} is no regular expression ({found[1][:200]})",
            _REMEDY,
        )
    return {name: None if n < 0 else patterns[n] for name, n in zip(wanted, found, strict=True)}
