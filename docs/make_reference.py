"""Writes docs/sdk.md and docs/plugins/ from the docstrings; a test checks that they are up to
date."""

from __future__ import annotations

from pathlib import Path

from hubkit.authoring.reference import plugin_page, sdk_page
from hubkit.registry.plugins import plugins
from hubkit.sdk.install import DISTRIBUTION

PLACE = Path(__file__).parent


def pages() -> dict[Path, str]:
    """Every page with its text: the SDK, and each plugin that comes with hubkit."""
    names = sorted({row.name for row in plugins().rows() if row.distribution == DISTRIBUTION})
    return {
        PLACE / "sdk.md": sdk_page(),
        **{PLACE / "plugins" / f"{name}.md": plugin_page(name) for name in names},
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
