"""The folder that a worker imports from: hubkit.sdk, the plugin's own package, nothing else."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import hubkit.sdk
from hubkit.sdk import PluginError

PACKAGE = """import sys

if sys.version_info < (3, 10):
    sys.exit("Python %d.%d is too old for a worker: name an interpreter of Python 3.10 or newer" % sys.version_info[:2])
"""  # noqa: E501
"""The worker's `hubkit/__init__.py`: the interpreter is the user's choice and pip has not checked
it."""


def build(plugin: object, folder: Path) -> str:
    """Fills `folder` anew and returns the plugin's reference in it, `module:Class`.

    Raises:
        PluginError: the plugin's class cannot be imported by another process.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "hubkit").mkdir(parents=True)
    (folder / "hubkit" / "__init__.py").write_text(PACKAGE)
    sdk = Path(hubkit.sdk.__file__).parent
    shutil.copytree(sdk, folder / "hubkit" / "sdk", ignore=shutil.ignore_patterns("__pycache__"))
    kind = type(plugin)
    top = kind.__module__.partition(".")[0]
    source = _source(top)
    if source is None or "<locals>" in kind.__qualname__:
        message = f"a worker cannot import {kind.__module__}:{kind.__qualname__}"
        raise PluginError(
            message, "put the plugin's class at the top level of a module or package of its own"
        )
    (folder / source.name).symlink_to(source)
    return f"{kind.__module__}:{kind.__qualname__}"


def _source(top: str) -> Path | None:
    """The package folder or module file of a top-level name; None when it has none that can be
    shared."""
    file = getattr(sys.modules.get(top), "__file__", None)
    if top in ("hubkit", "__main__") or not file:
        return None
    path = Path(file).absolute()
    return path.parent if path.stem == "__init__" else path
