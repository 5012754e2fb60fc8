"""A folder that check calls sound loads; one that does not load is not sound.

Qwen's AutoProcessor has a video processor, which needs torchvision (transformers 5.23); without it
its other parts are loaded, each by its own Auto class.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hubkit_qwen_vl import QwenVL
from testing.processors import positions, problems, write_json, write_tokenizer

IMAGE = "<|image_pad|>"
SIDE = 56


@pytest.fixture(params=["qwen2_vl", "qwen2_5_vl"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    kind: str = request.param
    name = {"qwen2_vl": "Qwen2VL", "qwen2_5_vl": "Qwen2_5_VL"}[kind]
    first = write_tokenizer(tmp_path, IMAGE, "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    config = {
        **{"architectures": [f"{name}ForConditionalGeneration"], "model_type": kind},
        **{"image_token_id": first, "video_token_id": first + 1, "vocab_size": first + 4},
        **{"hidden_size": 32, "num_hidden_layers": 1, "vision_config": {"depth": 1}},
    }
    preprocessor = {
        **{"image_processor_type": "Qwen2VLImageProcessor", "processor_class": f"{name}Processor"},
        **{"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2},
        **{"min_pixels": SIDE**2, "max_pixels": SIDE**2},
    }
    write_json(tmp_path, {"config.json": config, "preprocessor_config.json": preprocessor})
    return tmp_path


def _works(folder: Path) -> bool:
    """4 positions of 28 pixels squared in a picture of 56."""
    from PIL import Image
    from transformers import AutoImageProcessor, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        processor = AutoImageProcessor.from_pretrained(folder)
        pixels = processor(images=Image.new("RGB", (SIDE, SIDE)), return_tensors="pt")
    except Exception:  # tokenizers raises nothing narrower
        return False
    patches = int(pixels["image_grid_thw"].prod())
    alone = len(tokenizer.tokenize(IMAGE)) == 1 and patches == 4 * processor.merge_size**2
    return alone and (not find_spec("torchvision") or positions(folder, IMAGE) == 4)


def _edit(folder: Path, name: str, **changes: Any) -> None:
    data = {**json.loads((folder / name).read_text()), **changes}
    write_json(folder, {name: {key: value for key, value in data.items() if value is not None}})


def test_what_is_sound_works(folder: Path) -> None:
    assert problems(QwenVL(), folder) == [] and _works(folder)


def test_without_its_image_processor(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    found = problems(QwenVL(), folder)
    assert found == ["preprocessor_config.json|processor_config.json"] and not _works(folder)
    write_json(folder, {"processor_config.json": {"processor_class": "Qwen2VLProcessor"}})
    assert problems(QwenVL(), folder) == ["preprocessor_config.json"] and not _works(folder)


def test_with_a_tokenizer_that_no_reader_knows(folder: Path) -> None:
    _edit(folder, "tokenizer_config.json", tokenizer_class="MyOwnTokenizer")
    assert problems(QwenVL(), folder) == ["tokenizer_config.json: tokenizer_class"]
    (folder / "tokenizer.json").write_text("{}")
    assert "tokenizer.json" in problems(QwenVL(), folder) and not _works(folder)


@pytest.mark.parametrize("names", [(), ("vocab.json",)])
def test_without_a_whole_tokenizer(folder: Path, names: tuple[str, ...]) -> None:
    """Of a byte-level BPE in two files, one is not enough."""
    (folder / "tokenizer.json").unlink()
    write_json(folder, {name: {"a": 0} for name in names})
    assert problems(QwenVL(), folder) and not _works(folder)
