"""What tests of hubs import into their conftest: a rehearsal hub with faults on order, and clients
without accounts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hubkit.rehearsal import Faults, Running, serve


def forget_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """No login of the user's is seen, and none of the clients' files is written outside `tmp_path`;
    `token` is in MY_TOKEN."""
    from huggingface_hub import constants
    from modelscope_hub import config

    for name in ("HF_TOKEN", "MODELSCOPE_API_TOKEN", "HUBKIT_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MY_TOKEN", token)
    monkeypatch.setenv("MODELSCOPE_HOME", str(tmp_path / "modelscope-home"))
    monkeypatch.setattr(config, "_default_config", None)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(tmp_path / "no-tokens"))


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def hub(tmp_path: Path, faults: Faults, token: str) -> Iterator[Running]:
    """At which `token`, a fixture of the tests', may write."""
    with serve(tmp_path / "hub-data", token=token, faults=faults) as running:
        yield running
