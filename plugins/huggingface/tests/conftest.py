"""A rehearsal hub, and huggingface_hub kept from the user's own login and caches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hubkit.rehearsal import Faults, Running, serve

TOKEN = "hf_canary0123456789abcdefghijklmnop"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "no-tokens"))
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
    return {"endpoint": hub.url, "token_env": "MY_TOKEN", "timeout": 5.0, "patience": 8.0}
