"""A running hub, and clients that see nothing of the user's own accounts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from hubkit.rehearsal import Faults, Running, serve


@pytest.fixture(autouse=True)
def _no_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients read some of these when they are imported, others at every call."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(home / "hf"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(home / "modelscope"))
    monkeypatch.setenv("MODELSCOPE_CREDENTIALS_PATH", str(home / "credentials"))
    for name in (
        "HF_TOKEN",
        "MODELSCOPE_API_TOKEN",
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hf" / "hub"))


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def hub(tmp_path: Path, faults: Faults) -> Iterator[Running]:
    with serve(
        tmp_path / "hub", faults=faults, multipart_above=4_000_000, part_size=1_500_000
    ) as running:
        yield running


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A folder with a card, a small file in a folder, and 3 MB of weights."""
    folder = tmp_path / "release"
    (folder / "sub").mkdir(parents=True)
    (folder / "README.md").write_text(
        "---\nlicense: mit\npipeline_tag: image-text-to-text\n---\n# A model\n", "utf-8"
    )
    (folder / "sub" / "config.json").write_text("{}\n", "utf-8")
    (folder / "model.safetensors").write_bytes(os.urandom(3_000_000))
    return folder
