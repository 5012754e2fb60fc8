"""A folder that check calls sound loads with AutoProcessor; one that does not load is not sound."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hubkit_llava import LLaVA

import hubkit

QUICKSTART = Path(hubkit.__file__).parent / "quickstart" / "base"
IMAGE = "<image>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What lies beside the weights of a LLaVA, with the quickstart's tokenizer and one token
    more."""
    data = json.loads((QUICKSTART / "tokenizer.json").read_text())
    number = max(*data["model"]["vocab"].values(), *(one["id"] for one in data["added_tokens"])) + 1
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    data["added_tokens"].append({"id": number, "content": IMAGE, **flags, "special": True})
    settings = json.loads((QUICKSTART / "tokenizer_config.json").read_text())
    settings["added_tokens_decoder"][str(number)] = {"content": IMAGE, **flags, "special": True}
    side = {"height": 28, "width": 28}
    files = {
        "config.json": {
            "architectures": ["LlavaForConditionalGeneration"],
            "model_type": "llava",
            "image_token_index": number,
            "text_config": {"model_type": "llama", "vocab_size": number + 1, "hidden_size": 32},
            "vision_config": {"model_type": "clip_vision_model", "image_size": 28, "patch_size": 7},
        },
        "tokenizer.json": data,
        "tokenizer_config.json": settings,
        "preprocessor_config.json": {
            "image_processor_type": "CLIPImageProcessor",
            "crop_size": side,
            "size": {"shortest_edge": 28},
        },
        "processor_config.json": {
            "processor_class": "LlavaProcessor",
            "patch_size": 7,
            "num_additional_image_tokens": 1,
            "vision_feature_select_strategy": "default",
        },
    }
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    shutil.copy2(QUICKSTART / "generation_config.json", tmp_path)
    return tmp_path


def _works(folder: Path) -> bool:
    """Whether the processor prepares a picture and a question."""
    from PIL import Image
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(folder)
        inputs = processor(
            images=Image.new("RGB", (40, 30)), text=f"{IMAGE} a", return_tensors="pt"
        )
    except (OSError, TypeError, ValueError):
        return False
    number = processor.tokenizer.convert_tokens_to_ids(IMAGE)
    return int((inputs["input_ids"] == number).sum()) == 16


def _problems(folder: Path) -> list[str]:
    config = json.loads((folder / "config.json").read_text())
    wanted = LLaVA().companions(config).required
    missing = [
        need for need in wanted if not any((folder / name).is_file() for name in need.split("|"))
    ]
    return missing + [problem.where for problem in LLaVA().check(folder, config)]


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
