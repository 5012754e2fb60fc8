"""Everything that is wrong with a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..packaging.written_card import card_problems
from ..sdk import Problem, json_text
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


def model_folders(paths: Iterable[Path]) -> tuple[Path, ...]:
    """The folders of `paths`, once each: a folder is itself, a file stands for the model or adapter
    folder that it lies in. Files in none are left out."""
    found = (path if not path.is_file() else _around(path) for path in paths)
    return tuple(dict.fromkeys(folder for folder in found if folder is not None))


def _around(file: Path) -> Path | None:
    for folder in file.absolute().parents:
        if is_adapter(folder):
            return folder
        if (config := folder / "config.json").is_file():
            try:
                described = json_text.load(config)
            except (OSError, ValueError):
                return folder  # `check` says what is wrong with it
            if isinstance(described, dict) and "architectures" in described:
                return folder
    return None
