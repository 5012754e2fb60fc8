"""What a plugin leaves in the folder that its worker was given."""

from __future__ import annotations

from pathlib import Path

from ..errors import PluginError
from ..files.disk import remove


def inside(folder: Path, name: str, plugin: str) -> Path:
    """`folder/name`, where `name` is what a plugin says it wrote.

    Raises:
        PluginError: it is not there, or elsewhere.
    """
    path = folder / name
    if not path.exists() or not path.resolve().is_relative_to(folder.resolve()):
        raise PluginError(
            f"{plugin} says it wrote {name!r}, which is not in its output folder",
            "report it to the plugin's author",
        )
    return path


def discard_worker(out: Path) -> None:
    """Removes `out/worker`: it holds logs with paths and times, and a sealed stage keeps none of
    them."""
    remove(out / "worker")
