"""Writes docs/sdk.md, docs/python-api.md and docs/plugins/ from the docstrings; a test checks that
they are up to date."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hubkit.authoring.reference import plugin_page, python_page, sdk_page
from hubkit.registry.plugins import Row, plugins
from hubkit.sdk.install import DISTRIBUTION

PLACE = Path(__file__).parent


def pages() -> dict[Path, str]:
    """Every page with its text: the SDK, hubkit's own functions, and each plugin that comes with
    hubkit."""
    rows = [row for row in plugins().rows() if row.distribution == DISTRIBUTION]
    names = sorted({row.name for row in rows})
    return {
        PLACE / "sdk.md": sdk_page(),
        PLACE / "python-api.md": python_page(),
        PLACE / "bundled-plugins.md": _index(rows),
        **{PLACE / "plugins" / f"{name}.md": plugin_page(name) for name in names},
    }


def _index(rows: Sequence[Row]) -> str:
    """The plugins that come with hubkit, by kind."""
    lines = ["# Plugins", "", "Written by `make docs`; do not edit.", ""]
    for kind in sorted({row.kind for row in rows}):
        links = (f"[{row.name}](plugins/{row.name}.md)" for row in rows if row.kind == kind)
        lines += [f"- {kind}: {', '.join(sorted(links))}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
