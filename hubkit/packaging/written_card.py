"""The card as it lies in a release folder, whoever wrote it, held to the hubs' rules."""

from __future__ import annotations

from pathlib import Path

from hubkit.files import front_matter
from hubkit.sdk import Problem
from hubkit.sdk.card_metadata import problems

CARD = "README.md"
_LIMIT = 4 << 20


def card_problems(folder: Path) -> tuple[Problem, ...]:
    """Everything in README.md's front matter for which a hub would refuse the release; empty
    without a card or front matter, which hubs accept."""
    path = folder / CARD
    if not path.is_file():
        return ()
    remedy = "correct the front matter of README.md"
    try:
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
        if len(data) > _LIMIT:
            return (Problem(CARD, f"larger than {_LIMIT:,} bytes", "shorten the card"),)
        metadata = front_matter.read(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return (Problem(CARD, f"not UTF-8 (byte {error.start})", "save it as UTF-8"),)
    except ValueError as error:
        return (Problem(CARD, str(error), remedy),)
    return tuple(Problem(CARD, found, remedy) for found in problems(metadata))
