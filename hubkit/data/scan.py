"""The rows of a dataset, whatever its plugin offers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..files.pointers import refuse_pointers
from ..registry.plugins import plugins
from ..sdk import Row


def rows(
    format: str, source: Path, options: Mapping[str, Any], *, fix: bool = False
) -> Iterator[Row]:
    """Every item of `source`. A plugin without `scan` ends at its first problem, and repairs
    nothing.

    Raises:
        DataError: there is no such dataset, or it cannot be read (any further).
        UsageError: a file of it is a Git LFS pointer.
    """
    plugin = plugins().get("dataset", format)
    if not source.exists():
        raise DataError(f"{source}: no such dataset", "correct the path")
    refuse_pointers(source)
    if hasattr(plugin, "scan"):
        yield from plugin.scan(source, options, fix)
        return
    for index, record in enumerate(plugin.records(source, options)):
        yield Row(index, None, record)
