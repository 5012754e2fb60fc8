from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hubkit_nextgpt.options import Options
from hubkit_nextgpt.stages import Stage, run_stages

from hubkit.sdk import SilentRun
from hubkit.sdk.codec import decode

sys.path.insert(0, str(Path(__file__).parent))
import nextgpt_checkout as make


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vicuna, ImageBind, data and launcher, made once."""
    folder = tmp_path_factory.mktemp("nextgpt")
    make.make_vicuna(folder / "vicuna")
    make.make_data(folder / "cc3m")
    make.make_launcher(folder)
    (folder / "imagebind").mkdir()
    (folder / "imagebind/imagebind_huge.pth").write_bytes(b"weights")
    return folder


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A line for each stage that trained to its end."""
    monkeypatch.setenv("STAGES_RUN", str(tmp_path / "told"))
    return tmp_path / "told"


@pytest.fixture
def options(parts: Path, tmp_path: Path, told: Path) -> dict[str, Any]:
    """Of a legacy checkout."""
    return _options(parts, make.make_legacy(tmp_path / "NExT-GPT"))


@pytest.fixture
def current(parts: Path, tmp_path: Path) -> dict[str, Any]:
    return {**_options(parts, make.make_current(tmp_path / "current")), "launcher": "current", "data": {}}


def _options(parts: Path, checkout: Path) -> dict[str, Any]:
    return {
        "checkout": str(checkout),
        "include": "localhost:0",
        "deepspeed": str(parts / "deepspeed"),
        "weights": {"vicuna": str(parts / "vicuna"), "imagebind": str(parts / "imagebind")},
        "data": {"data/T-X_pair_data/cc3m": str(parts / "cc3m")},
        "vocabulary": make.VOCABULARY,
        "lora_rank": 4,
    }


@pytest.fixture(scope="session")
def licenses() -> list[dict[str, Any]]:
    return [
        {
            "part": "language model",
            "name": "lmsys/vicuna-7b-v0",
            "license": "llama-1 (non-commercial)",
            "link": "https://lmsys.org",
        },
        {"part": "encoder", "name": "ImageBind", "license": "cc-by-nc-sa-4.0"},
        {"part": "image diffusion", "name": "stable-diffusion-v1-5", "license": "creativeml-openrail-m"},
        {"part": "video diffusion", "name": "zeroscope_v2_576w", "license": "cc-by-nc-4.0"},
        {"part": "audio diffusion", "name": "audioldm-l-full", "license": "cc-by-nc-sa-4.0"},
    ]


@pytest.fixture(scope="session")
def trained(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, ...]:
    """All three stages, trained once."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAGES_RUN", str(folder / "told"))
        options = decode(Options, _options(parts, make.make_legacy(folder / "NExT-GPT")), "options")
        return run_stages(options, folder / "scratch", SilentRun())
