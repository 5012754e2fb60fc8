"""A tracked release of the quickstart's base, and a rehearsal hub that every protocol's real client
talks to."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from testing.hub_fixtures import faults, forget_accounts, hub
from testing.projects import BASE

import hubkit
from hubkit.registry.plugins import plugins
from hubkit.rehearsal import Running

__all__ = ["faults", "hub"]
TOKEN = "hf_canary9876543210zyxwvutsrqponmlk"
NAME = "food/InternVL2-Tiny"

needs_hubs = pytest.mark.skipif(
    not {"huggingface", "modelscope"} <= set(plugins().of("hub")),
    reason="this checkout was installed before it had these hubs: pip install -e . again",
)


@pytest.fixture
def token() -> str:
    return TOKEN


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_accounts(tmp_path, monkeypatch, TOKEN)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="session")
def tracked_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tracked") / "InternVL2-Tiny"
    shutil.copytree(BASE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    hubkit.card(folder, base_name="hubkit/InternVL2-Tiny", license="mit")
    hubkit.track(folder)
    return folder


@pytest.fixture
def tracked(tracked_once: Path, tmp_path: Path) -> Path:
    """A copy of the release, so that a test may change it."""
    folder = tmp_path / "InternVL2-Tiny"
    shutil.copytree(tracked_once, folder)
    return folder


@pytest.fixture
def targets(hub: Running) -> list[str]:
    """The git repository is there and empty; the other hubs make theirs."""
    hub.hub.create(f"{NAME}-Git", hub.hub.tokens.user(TOKEN), private=True)
    return [f"huggingface:{NAME}", f"modelscope:{NAME}-MS", f"git:{hub.url}/{NAME}-Git.git"]


@pytest.fixture
def options(hub: Running) -> dict[str, Any]:
    api = {
        f"{name}.{key}": value
        for name in ("huggingface", "modelscope")
        for key, value in {"endpoint": hub.url}.items()
    }
    return {**api, "token_env": "MY_TOKEN", "huggingface.patience": 8.0, "modelscope.patience": 8.0}
