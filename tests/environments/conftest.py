"""The tiny plugins of the tests in this process, and a store of its own."""

from __future__ import annotations

import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from testing import locked_plugin, odd_plugin

from hubkit.registry.plugins import plugins

Install = Callable[..., Any]
Make = Callable[..., Any]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return locked_plugin.wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HUBKIT_HOME's folder of environments; pip has no settings but a wheel folder where a test
    names one."""
    monkeypatch.setenv("HUBKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return tmp_path / "home" / "environments"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs the plugin with the given locks, in this process too, and returns it."""
    folder = tmp_path / "plugin"
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(*locks: Any, sources: Any = None) -> Any:
        locked_plugin.install(folder, *locks, sources=sources)
        sys.modules.pop("hubkit_tinylock", None)
        importlib.invalidate_caches()
        plugins.cache_clear()
        return importlib.import_module("hubkit_tinylock").TinyLock()

    yield write
    sys.modules.pop("hubkit_tinylock", None)
    plugins.cache_clear()


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Writes a plugin whose `train` has the given body, and imports it."""
    name = f"odd_{tmp_path.name}".replace("-", "_")
    folder = tmp_path / "plugin"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(body: str, modules: str = "()") -> Any:
        sys.modules.pop(name, None)
        indented = textwrap.indent(textwrap.dedent(body), " " * 8)
        text = odd_plugin.MODULE.format(body=indented, modules=modules)
        (folder / f"{name}.py").write_text(text, "utf-8")
        importlib.invalidate_caches()
        return importlib.import_module(name).Plugin()

    yield write
    sys.modules.pop(name, None)
