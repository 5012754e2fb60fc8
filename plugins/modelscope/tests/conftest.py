"""A rehearsal hub, and the ModelScope client kept from the user's own login and caches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubkit.rehearsal import Faults, Running, serve

TOKEN = "ms-canary01-2345-6789-abcd-efghijklmnop"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from modelscope_hub import config

    monkeypatch.delenv("MODELSCOPE_API_TOKEN", raising=False)
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "modelscope-home"))
    monkeypatch.setattr(config, "_default_config", None)
    monkeypatch.setenv("MY_TOKEN", TOKEN)


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def hub(tmp_path: Path, faults: Faults) -> Iterator[Running]:
    with serve(tmp_path / "hub-data", token=TOKEN, faults=faults) as running:
        yield running


@pytest.fixture
def options(hub: Running) -> dict[str, Any]:
    return {"endpoint": hub.url, "token_env": "MY_TOKEN", "timeout": 5, "patience": 8.0}
