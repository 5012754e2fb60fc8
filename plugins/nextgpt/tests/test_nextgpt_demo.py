"""The demo of either code: everything that is missing first, then the program with what it loads
where it looks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nextgpt_checkout as make
import pytest
import torch
from hubkit_nextgpt import demo
from hubkit_nextgpt.options import Options
from safetensors.torch import save_file

from hubkit.sdk import PluginError, UsageError, WeightsError
from hubkit.sdk.codec import decode


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    (tmp_path / "delta").mkdir()
    torch.save({"llama_proj.bias": torch.ones(2)}, tmp_path / "delta/pytorch_model.pt")
    return tmp_path / "delta"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    towers = {
        "multimodal_input_tower": "./pretrain_ckpt/imagebind",
        "image_decoder": "stabilityai/stable-diffusion-2",
    }
    config = {
        **towers,
        "video_decoder": "cerspense/zeroscope_v2_XL",
        "audio_decoder": "cvssp/audioldm",
    }
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    save_file(
        {"model.mm_input_projector.bias": torch.ones(2)}, tmp_path / "model/model.safetensors"
    )
    return tmp_path / "model"


def run(options: dict[str, Any], checkpoint: Path, scratch: Path, **more: Any) -> None:
    demo(decode(Options, options, "options"), checkpoint, scratch, **more)


def test_all_that_is_missing_is_listed_first(
    options: dict[str, Any], current: dict[str, Any], delta: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        run(options, delta, tmp_path / "scratch")
    assert "3 of the base models are missing" in str(caught.value)
    assert all(f"{name}: no folder is given" in str(caught.value) for name in make.DECODERS)
    with pytest.raises(UsageError) as caught:
        run(
            {**options, "weights": dict.fromkeys(("imagebind", "vicuna"), str(delta))},
            delta,
            tmp_path / "scratch",
        )
    assert "5 of the base models" in str(
        caught.value
    ) and f"imagebind: {delta} holds no imagebind_huge.pth" in str(caught.value)
    with pytest.raises(UsageError, match=r"4 of the base models are missing:\n  imagebind: "):
        run({**current, "weights": {}}, delta, tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("program", "made"), [("", "temp/made.jpg"), ("inference.py", "assets/images/made.jpg")]
)
def test_the_legacy_programs(
    options: dict[str, Any],
    current: dict[str, Any],
    delta: Path,
    tmp_path: Path,
    program: str,
    made: str,
) -> None:
    run({**options, "weights": current["weights"]}, delta, tmp_path / "scratch", program=program)
    assert (tmp_path / "scratch/made" / made).read_text() == "picture"
    checkout = Path(options["checkout"]) / "code"
    assert (
        not (checkout / "temp").exists()
        and "runwayml" in (checkout / "config/base.yaml").read_text()
    )


def test_the_current_program(
    current: dict[str, Any], model: Path, delta: Path, tmp_path: Path
) -> None:
    run(current, model, tmp_path / "scratch", arguments=("--top_k", "1"))
    assert (tmp_path / "scratch/made/assets/images/made.jpg").read_text() == "picture"
    assert [path.name for path in (Path(current["checkout"]) / "assets").iterdir()] == [
        "bird_image.jpg"
    ]
    with pytest.raises(
        PluginError,
        match=r"(?s)predict.py ended with exit code 2.*unrecognized arguments: --model_path",
    ):
        run(current, model, tmp_path / "scratch", arguments=("--model_path", "x"))
    with pytest.raises(
        UsageError,
        match=r"is no whole model of NExT-GPT: its config.json must have multimodal_input_tower",
    ):
        run(current, delta, tmp_path / "scratch")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(
        json.dumps({**config, "audio_decoder": "/somewhere/audioldm"})
    )
    with pytest.raises(
        UsageError, match="audio_decoder is '/somewhere/audioldm', no path in the checkout"
    ) as caught:
        run(current, model, tmp_path / "scratch")
    assert "set it to 'cvssp/audioldm'" in caught.value.remedy
    (model / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"holds neither model.safetensors"):
        run(current, model, tmp_path / "scratch")


def test_what_cannot_be_started(
    options: dict[str, Any], current: dict[str, Any], delta: Path, tmp_path: Path
) -> None:
    options["weights"] = current["weights"]
    with pytest.raises(UsageError, match=r"the checkout has no code/other.py"):
        run(options, delta, tmp_path / "scratch", program="other.py")
    with pytest.raises(UsageError, match="no interpreter nowhere/python"):
        run(options, delta, tmp_path / "scratch", python="nowhere/python")
    with pytest.raises(
        UsageError, match=r"code/assets/images is inside code/assets, which is linked as a whole"
    ):
        run({**options, "data": {"code/assets": str(tmp_path)}}, delta, tmp_path / "scratch")
    with pytest.raises(UsageError, match=r"holds no pytorch_model.pt"):
        run(options, tmp_path, tmp_path / "scratch")
