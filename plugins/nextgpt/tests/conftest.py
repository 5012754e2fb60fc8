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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process for all, so that models are made and stages are trained once."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group("nextgpt"))


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base models by name, data and launcher, made once."""
    folder = tmp_path_factory.mktemp("nextgpt")
    make.make_models(folder)
    make.make_data(folder)
    make.make_launcher(folder)
    return folder


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A line for each stage that trained to its end."""
    monkeypatch.setenv("STAGES_RUN", str(tmp_path / "told"))
    return tmp_path / "told"


@pytest.fixture
def options(parts: Path, tmp_path: Path, told: Path) -> dict[str, Any]:
    """Of a legacy checkout."""
    return _legacy(parts, make.make_checkout("legacy", tmp_path / "NExT-GPT"))


@pytest.fixture
def current(parts: Path, tmp_path: Path, told: Path) -> dict[str, Any]:
    return _current(parts, make.make_checkout("current", tmp_path / "current"))


def _legacy(parts: Path, checkout: Path) -> dict[str, Any]:
    data = {"data/T-X_pair_data/cc3m": "cc3m", "data/embed": "embed", "code/embed": "embed"}
    return {
        **_both(parts, checkout, data),
        "weights": {name: str(parts / name) for name in ("vicuna", "imagebind")},
    }


def _current(parts: Path, checkout: Path) -> dict[str, Any]:
    data = {"data/T_X_pair_data/cc3m": "cc3m", "data/embed": "embed"}
    weights = {name: str(parts / name) for name in ("vicuna", "imagebind", *make.DECODERS)}
    return {**_both(parts, checkout, data), "launcher": "current", "weights": weights}


def _both(parts: Path, checkout: Path, data: dict[str, str]) -> dict[str, Any]:
    return {
        "checkout": str(checkout),
        "include": "localhost:0",
        "deepspeed": str(parts / "deepspeed"),
        "data": {path: str(parts / name) for path, name in data.items()},
        "vocabulary": make.VOCABULARY,
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
        {
            "part": "image diffusion",
            "name": "stable-diffusion-v1-5",
            "license": "creativeml-openrail-m",
        },
        {"part": "video diffusion", "name": "zeroscope_v2_576w", "license": "cc-by-nc-4.0"},
        {"part": "audio diffusion", "name": "audioldm-l-full", "license": "cc-by-nc-sa-4.0"},
    ]


@pytest.fixture(scope="session")
def trained(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, ...]:
    """All three stages of the legacy code, trained once."""
    folder = tmp_path_factory.mktemp("trained")
    return _trained(_legacy(parts, make.make_checkout("legacy", folder / "NExT-GPT")), folder)


@pytest.fixture(scope="session")
def trained_current(parts: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Stage, ...]:
    """Of the current code, with all output projections in stage 2 and all projections in stage
    3."""
    folder = tmp_path_factory.mktemp("trained_current")
    options = _current(parts, make.make_checkout("current", folder / "NExT-GPT"))
    outputs = [
        word
        for kind in ("img", "vid", "aud")
        for word in (f"--tune_mm_output_{kind}_adapter", "True")
    ]
    on = [*outputs, "--freeze_mm_output_img_adapter", "False"]
    options["arguments"] = {"2": on, "3": [*on, "--tune_mm_input_adapter", "True"]}
    return _trained(options, folder)


def _trained(options: dict[str, Any], folder: Path) -> tuple[Stage, ...]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAGES_RUN", str(folder / "told"))
        return run_stages(decode(Options, options, "options"), folder / "scratch", SilentRun())
