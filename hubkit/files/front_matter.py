"""The front matter of a model card: the YAML between `---` lines at the top of README.md."""

from __future__ import annotations

import re
from typing import Any

from . import yaml_text

LIMIT = 1 << 16
"""Characters; the longest of a published model seen had 40,000."""
_FRONT = re.compile(
    r"\A\s*---[ \t]*\r?\n(?P<yaml>.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)


def split(card: str) -> tuple[str, str]:
    """The YAML between the `---` lines ("" when there is none), and the rest."""
    found = _FRONT.match(card)
    return (found["yaml"], card[found.end() :]) if found else ("", card)


def read(card: str) -> dict[str, Any]:
    """The front matter as a mapping; empty when there is none.

    Raises:
        ValueError: it is too long, not YAML (with the card's line), or not a mapping.
    """
    front, _ = split(card)
    if len(front) > LIMIT:
        raise ValueError(f"its front matter is longer than {LIMIT:,} characters")
    above = card.index(front) if front else 0
    try:
        data = yaml_text.load("\n" * card.count("\n", 0, above) + front)
    except ValueError as error:
        raise ValueError(f"its front matter is not valid YAML: {error}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ValueError("its front matter is not a mapping")
    return data
