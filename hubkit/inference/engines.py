"""Engines beside the one that the smoke test names: in its place where it cannot run, and to
compare its answers with."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..environments import CURRENT, health
from ..errors import EnvironmentFailure, RefusedError
from ..registry.plugins import plugins
from .questions import Questioning

SHOWN = 5


@dataclass(frozen=True)
class Compared:
    """`different` of `answers` greedy answers are not, word for word, those of `engine`."""

    engine: str
    answers: int
    different: int


def instead(questioning: Questioning, engine: str) -> Questioning:
    """The same questions to another engine, in hubkit's own interpreter and with that engine's
    defaults."""
    return replace(questioning, engine=engine, environment=CURRENT, options={})


def can_run(questioning: Questioning) -> bool:
    """Whether the engine's environment has what it requires, a GPU among it."""
    try:
        with tempfile.TemporaryDirectory(prefix="hubkit-health-") as folder:
            engine = plugins().get("engine", questioning.engine)
            health(engine, questioning.environment, Path(folder))
    except EnvironmentFailure:
        return False
    return True


Texts = Sequence[tuple[str, str, str]]
"""(where, what one engine said, what the other said), answer by answer."""


def compare(engine: str, other: str, texts: Texts, tolerance: float) -> Compared:
    """Raises RefusedError when a larger share than `tolerance` of the texts differs; the first ones
    are shown."""
    different = [row for row in texts if row[1] != row[2]]
    if len(different) > tolerance * len(texts):
        lines = "".join(
            f"\n  {where}: {mine!r}, and {theirs!r}" for where, mine, theirs in different[:SHOWN]
        )
        raise RefusedError(
            f"{engine} and {other} answer {len(different)} of {len(texts)} questions differently, "
            f"and smoke.tolerance is {tolerance:g}:{lines}",
            "compare the prompts and the number types of the two engines; or set smoke.tolerance; "
            "nothing was published",
        )
    return Compared(other, len(texts), len(different))
