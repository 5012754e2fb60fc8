"""The languages of the card: a page each, from `templates/model_card/LANGUAGE.md.j2`."""

from __future__ import annotations

PAGES = {"README.md": "en", "README.zh-CN.md": "zh"}
"""File in the release to language; the first is the one that hubs show."""
