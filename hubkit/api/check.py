"""Everything that is wrong with a folder."""

from __future__ import annotations

from pathlib import Path

from ..packaging.written_card import card_problems
from ..sdk import Problem
from ..weights.check import check as check_folder
from ..weights.check import check_adapter
from ..weights.model import is_adapter, open_model


def check(folder: str | Path, *, author_email: str = "") -> tuple[Problem, ...]:
    """Every problem of a model folder: structure, names and shapes, tokenizer, companion files, and
    what may not be published; or of an adapter folder. Empty when sound.

    `author_email` is the one address that texts may hold."""
    if is_adapter(Path(folder)):
        found = check_adapter(Path(folder), author_email)
    else:
        model = open_model(Path(folder))
        found = check_folder(model.folder, model.family, author_email)
    return (*found, *card_problems(Path(folder)))
