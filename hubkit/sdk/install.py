"""Which command installs what an extra of hubkit brings: one that works wherever hubkit came
from."""

from __future__ import annotations

import json
import shlex
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from .errors import EnvironmentFailure

DISTRIBUTION = "hubkit-vlm"
"""hubkit's name for pip. On PyPI `hubkit` is another project."""
_ANOTHER = "hubkit"


def install(extra: str) -> str:
    """The pip command for an extra: of the checkout or wheel that hubkit was installed from; by the
    packages' own names where that is gone, as in an image."""
    if source := _source():
        *flags, place = source
        return shlex.join(["pip", "install", *flags, f"{place}[{extra}]"])
    return shlex.join(["pip", "install", *(packages(extra) or [f"{DISTRIBUTION}[{extra}]"])])


def packages(extra: str) -> list[str]:
    """What an extra asks for, as pip takes it; empty where hubkit has no such extra, or is not
    installed."""
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
    try:
        metadata.distribution(_ANOTHER)
    except metadata.PackageNotFoundError:
        return
    *flags, place = _source() or [DISTRIBUTION]
    again = shlex.join(["pip", "install", "--force-reinstall", "--no-deps", *flags, place])
    raise EnvironmentFailure(
        f"the distribution `{_ANOTHER}` is installed here; this is {DISTRIBUTION}, and both have a "
        "package of that name",
        f"pip uninstall {_ANOTHER}, then {again}",
    )


def _source() -> list[str]:
    """What pip was given to install hubkit from, by direct_url.json (PEP 610); empty where that was
    an index, or is not there any more."""
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
