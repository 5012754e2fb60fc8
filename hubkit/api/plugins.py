"""Plugins: what is installed, a new one, the check of one, its reference."""

from __future__ import annotations

from ..authoring import check_plugin, new_plugin
from ..authoring.reference import plugin_page, sdk_page
from ..registry.entries import Row
from ..registry.plugins import plugins

__all__ = ["Row", "check_plugin", "installed", "new_plugin", "plugin_page", "sdk_page"]


def installed() -> tuple[Row, ...]:
    """Every plugin, broken ones too, by kind and name."""
    return plugins().rows()
