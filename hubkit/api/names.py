"""Names that may be written on a command line. Nothing of a plugin is imported: a key was pressed,
and somebody waits."""

from __future__ import annotations

from typing import get_args

__all__ = ["plugin_names", "stage_names"]


def stage_names() -> tuple[str, ...]:
    """Of the stages, in their order."""
    from ..pipeline.spec.publishing import StageName

    return get_args(StageName)


def plugin_names(*kinds: str) -> tuple[str, ...]:
    """Of the installed plugins that are declared as one of `kinds`; of all without any."""
    from ..registry.entries import declared_kind, installed

    found = {one.name for one in installed() if not kinds or declared_kind(one) in kinds}
    return tuple(sorted(found))
