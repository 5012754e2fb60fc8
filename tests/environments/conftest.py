"""The tiny plugin of tests/locked_plugin.py in this process, and a store of its own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import locked_plugin
import pytest

from hubkit.registry.plugins import plugins

Install = Callable[..., Any]


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
