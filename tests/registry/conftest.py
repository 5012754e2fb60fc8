"""Small distributions on the path, with plugins in them."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from testing.small_plugins import Install

from hubkit.registry.entries import GROUP, installed
from hubkit.registry.plugins import Plugins


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Writes a distribution for each `name=(module text, class)`, in `group`, and gives the plugins
    of all of them."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(group: str = GROUP, **modules: tuple[str, str]) -> Plugins:
        for number, (name, (text, attribute)) in enumerate(modules.items()):
            module = f"{name}_{tmp_path.name}".replace("-", "_")
            (tmp_path / f"{module}.py").write_text(textwrap.dedent(text))
            info = tmp_path / f"{name}_dist-{number}.5.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: {number}.5\n"
            )
            (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:{attribute}\n")
        return Plugins(installed([str(tmp_path)]))

    return write
