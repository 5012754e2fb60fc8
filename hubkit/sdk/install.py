"""Which command installs what an extra of hubkit brings: one that works wherever hubkit came
from."""

from __future__ import annotations

import os
import sys

from .errors import EnvironmentFailure

DISTRIBUTION = "hubkit-vlm"
"""hubkit's name for pip. On PyPI `hubkit` is another project."""
_ANOTHER = "hubkit"
_KEPT = (".dist-info", ".egg-info")


def install(extra: str) -> str:
    """The pip command for an extra: of the checkout or wheel that hubkit was installed from; by the
    packages' own names where that is gone, as in an image."""
    import shlex

    if source := _source():
        *flags, place = source
        return shlex.join(["pip", "install", *flags, f"{place}[{extra}]"])
    return shlex.join(["pip", "install", *(packages(extra) or [f"{DISTRIBUTION}[{extra}]"])])


def packages(extra: str) -> list[str]:
    """What an extra asks for, as pip takes it; empty where hubkit has no such extra, or is not
    installed."""
    from importlib import metadata

    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return []
    marked = (line.partition(";") for line in lines)
    ours = f"extra == '{extra}'"
    return [wanted.strip() for wanted, _, mark in marked if mark.strip().replace('"', "'") == ours]


def refuse_another() -> None:
    """
    Raises:
        EnvironmentFailure: the distribution `hubkit` is installed too. It is another project with a
            package of the same name, and either overwrites files of the other.
    """
    if not any(map(_holds_another, sys.path)):
        return
    import shlex

    *flags, place = _source() or [DISTRIBUTION]
    again = shlex.join(["pip", "install", "--force-reinstall", "--no-deps", *flags, place])
    raise EnvironmentFailure(
        f"the distribution `{_ANOTHER}` is installed here; this is {DISTRIBUTION}, and both have a "
        "package of that name",
        f"pip uninstall {_ANOTHER}, then {again}",
    )


def _holds_another(folder: str) -> bool:
    """By the names of files: importing importlib.metadata takes as long as `hubkit --help`."""
    try:
        with os.scandir(folder or os.curdir) as entries:
            names = [entry.name for entry in entries]
    except OSError:
        return False
    return any(name.startswith(f"{_ANOTHER}-") and name.endswith(_KEPT) for name in names)


def _source() -> list[str]:
    """What pip was given to install hubkit from, by direct_url.json (PEP 610); empty where that was
    an index, or is not there any more."""
    import json
    from importlib import metadata
    from pathlib import Path
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        told = json.loads(metadata.distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
        address = urlsplit(told["url"])
        place = Path(url2pathname(address.path))
        editable = bool(told.get("dir_info", {}).get("editable"))
    except (metadata.PackageNotFoundError, ValueError, KeyError, AttributeError):
        return []
    if address.scheme != "file" or not place.exists():
        return []
    return [*(["-e"] if editable else []), str(place)]
