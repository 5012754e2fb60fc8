"""Finds the data files that come with hubkit: inside the installed package, or beside it in a
checkout."""

from __future__ import annotations

from pathlib import Path

from .sdk.errors import EnvironmentFailure

_PACKAGE = Path(__file__).resolve().parent
_PLACES = (_PACKAGE / "templates", _PACKAGE.parent / "templates")


def templates(name: str) -> Path:
    """The folder `templates/<name>`.

    Raises:
        EnvironmentFailure: neither the installation nor the checkout has it.
    """
    for place in _PLACES:
        if (place / name).is_dir():
            return place / name
    raise EnvironmentFailure(
        f"the templates {name!r} are missing from this installation of hubkit",
        "install hubkit again",
    )
