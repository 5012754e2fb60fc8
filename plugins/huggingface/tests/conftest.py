"""A rehearsal hub, and the client kept from the user's own login and caches."""

from pathlib import Path
from typing import Any

import pytest
from testing.hub_fixtures import faults, forget_accounts, hub

from hubkit.rehearsal import Running

__all__ = ["faults", "hub"]
TOKEN = "hf_canary0123456789abcdefghijklmnop"


@pytest.fixture
def token() -> str:
    return TOKEN


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_accounts(tmp_path, monkeypatch, TOKEN)


@pytest.fixture
def options(hub: Running) -> dict[str, Any]:
    return {"endpoint": hub.url, "token_env": "MY_TOKEN", "timeout": 5.0, "patience": 8.0}
