"""A folder that check calls sound loads with AutoProcessor; one that does not load is not sound."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hubkit_llava import LLaVA
from testing.processors import CLIP_PREPROCESSOR, positions, problems, write_json, write_tokenizer

from hubkit.weights.check import check

IMAGE = "<image>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    number = write_tokenizer(tmp_path, IMAGE)
    files = {
        "config.json": {
            "architectures": ["LlavaForConditionalGeneration"],
            "model_type": "llava",
            "image_token_index": number,
            "text_config": {"model_type": "llama", "vocab_size": number + 1, "hidden_size": 32},
            "vision_config": {"model_type": "clip_vision_model", "image_size": 28, "patch_size": 7},
        },
        "preprocessor_config.json": CLIP_PREPROCESSOR,
        "processor_config.json": {
            "processor_class": "LlavaProcessor",
            "patch_size": 7,
            "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": "default",
        },
    }
    write_json(tmp_path, files)
    return tmp_path


def _works(folder: Path) -> bool:
    return positions(folder, IMAGE) == 16


def _problems(folder: Path) -> list[str]:
    return problems(LLaVA(), folder)


def _leave_out(name: str, *keys: str) -> Any:
    def change(folder: Path) -> None:
        if not keys:
            (folder / name).unlink()
            return
        data = json.loads((folder / name).read_text())
        kept = {key: value for key, value in data.items() if key not in keys}
        (folder / name).write_text(json.dumps(kept))

    return change


def _both(folder: Path) -> None:
    for name in ("preprocessor_config.json", "processor_config.json"):
        (folder / name).unlink()


def test_what_is_sound_works(folder: Path) -> None:
    assert _problems(folder) == [] and _works(folder)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (_leave_out("preprocessor_config.json"), "preprocessor_config.json"),
        (_leave_out("processor_config.json"), "processor_config.json: patch_size"),
        (_leave_out("processor_config.json", "patch_size"), "processor_config.json: patch_size"),
        (_both, "preprocessor_config.json|processor_config.json"),
    ],
)
def test_what_does_not_work_is_not_sound(folder: Path, change: Any, where: str) -> None:
    change(folder)
    assert where in _problems(folder) and not _works(folder)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"image_token_index": 3}, "config.json: image_token_index"),
        ({"text_config": {"model_type": "llama", "vocab_size": 3}}, "config.json: vocab_size"),
    ],
)
def test_ids_that_are_not_the_tokenizers(folder: Path, change: dict[str, Any], where: str) -> None:
    whole = (folder / "config.json").read_text()
    (folder / "config.json").write_text(json.dumps({**json.loads(whole), **change}))
    assert where in _problems(folder)
    (folder / "config.json").write_text(whole)
    assert _problems(folder) == []


def test_a_configuration_that_cannot_be_judged_is_a_finding(folder: Path) -> None:
    found = {problem.where for problem in check(folder, LLaVA())}
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "text_config": 7}))
    (problem,) = [one for one in check(folder, LLaVA()) if one.where not in found]
    assert problem.where == "config.json" and "text_config" in problem.message
    (folder / "config.json").write_text(json.dumps(config))
    assert {problem.where for problem in check(folder, LLaVA())} == found


def test_settings_as_transformers_5_saves_them(folder: Path) -> None:
    """All of the processor's in one file."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    _both(folder)
    processor.save_pretrained(folder)
    assert not (folder / "preprocessor_config.json").exists()
    # the class that it names is its own: "TokenizersBackend"
    assert _problems(folder) == ["tokenizer_config.json: tokenizer_class"] and _works(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert _problems(folder) == [] and _works(folder)
