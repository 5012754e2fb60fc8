"""The native folder's processor, tokenizer and chat template, as transformers loads them: the same
pixels, ids and texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image

from hubkit.registry.plugins import plugins
from hubkit.sdk import SilentRun, tiles
from hubkit.weights.convert import to_native
from hubkit.weights.model import Model

BASE = Path(__file__).parents[2] / "hubkit/quickstart/base"
TALK = [
    {"role": "user", "content": "<image>\nWhich digit?"},
    {"role": "assistant", "content": "7"},
    {"role": "user", "content": " Is it even? "},
]


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("native") / "InternVL2-Tiny-hf"
    to_native(Model.of(BASE, plugins().get("family", "internvl")), folder)
    return folder


def processor(native: Path) -> Any:
    """As AutoProcessor makes it, by hand: transformers 5.23 asks for a video processor, which there
    is only with torchvision."""
    from transformers import AutoTokenizer, InternVLProcessor
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    class Processor(InternVLProcessor):  # type: ignore[misc]
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> type:
            return type(argument)

    settings = json.loads((native / "processor_config.json").read_text())
    assert settings == {"processor_class": "InternVLProcessor", "image_seq_length": 16}
    tokenizer = AutoTokenizer.from_pretrained(native)
    images = GotOcr2ImageProcessorPil.from_pretrained(native)
    return Processor(images, tokenizer, image_seq_length=16, chat_template=tokenizer.chat_template)


@pytest.mark.parametrize(
    "size", [(40, 40), (56, 56), (200, 100), (100, 333), (130, 120), (900, 20)]
)
def test_pixels_are_those_of_the_tiles(native: Path, size: tuple[int, int]) -> None:
    picture = Image.fromarray(
        numpy.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=numpy.uint8)
    )
    config = json.loads((BASE / "config.json").read_text())
    vision = plugins().get("family", "internvl").vision(config, None)
    values = (
        numpy.stack([numpy.asarray(tile, dtype=numpy.float32) for tile in tiles(picture, vision)])
        / 255
    )
    expected = ((values - numpy.float32(vision.mean)) / numpy.float32(vision.std)).transpose(
        0, 3, 1, 2
    )
    found = processor(native)(images=[picture], text="<IMG_CONTEXT>\nWhat?", return_tensors="np")
    assert found["pixel_values"].shape == expected.shape
    assert numpy.abs(found["pixel_values"] - expected).max() < 1e-5
    assert (found["input_ids"] == 7).sum() == 16 * len(expected)


def test_a_picture_becomes_the_text_that_training_uses(native: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    vision = (
        plugins()
        .get("family", "internvl")
        .vision(json.loads((BASE / "config.json").read_text()), None)
    )
    official = PreTrainedTokenizerFast.from_pretrained(BASE)
    made = processor(native)
    talk = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Which digit?"}]},
        *TALK[1:],
    ]
    text = made.apply_chat_template(talk, add_generation_prompt=True)
    picture = Image.new("RGB", (60, 30))
    ids = made(images=[picture], text=text, return_tensors="np", add_special_tokens=False)[
        "input_ids"
    ][0]
    asked = [
        {
            "role": "user",
            "content": f"{vision.placeholder(len(tiles(picture, vision)))}\nWhich digit?",
        },
        *TALK[1:],
    ]
    rendered = official.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert list(ids) == official(rendered, add_special_tokens=False).input_ids


def test_texts_are_rendered_as_by_the_official_template(native: Path) -> None:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    one, other = (
        PreTrainedTokenizerFast.from_pretrained(BASE),
        AutoTokenizer.from_pretrained(native),
    )
    for speak in (False, True):
        for count in (1, 2, 3):
            asked = [
                tok.apply_chat_template(TALK[:count], tokenize=False, add_generation_prompt=speak)
                for tok in (one, other)
            ]
            assert asked[0] == asked[1]
    assert other.chat_template != one.chat_template and len(other) == len(one)


def test_a_part_that_is_no_picture_is_refused(native: Path) -> None:
    from jinja2 import TemplateError
    from transformers import AutoTokenizer

    talk = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "What?"}]}]
    with pytest.raises(TemplateError, match="not video"):
        AutoTokenizer.from_pretrained(native).apply_chat_template(talk, tokenize=False)


def test_no_token_is_added(native: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(native)
    assert (
        tokenizer.start_image_token_id,
        tokenizer.context_image_token_id,
        tokenizer.end_image_token_id,
    ) == (5, 7, 6)
    assert (
        max(tokenizer.get_vocab().values())
        < json.loads((BASE / "config.json").read_text())["llm_config"]["vocab_size"]
    )


def test_nothing_asks_for_code(native: Path) -> None:
    assert not list(native.glob("*.py"))
    assert not [path.name for path in native.glob("*.json") if b"auto_map" in path.read_bytes()]


def test_the_bases_own_mean_is_kept_and_a_missing_thumbnail_is_said(
    tmp_path: Path, official_internvl: Any
) -> None:
    said: list[str] = []

    class Notes(SilentRun):
        def note(self, message: str) -> None:
            said.append(message)

    base = official_internvl(tmp_path / "base")
    (base / "preprocessor_config.json").write_text(
        '{"image_mean": [0.5, 0.5, 0.5], "size": 28, "crop_size": 28}'
    )
    to_native(Model.of(base, plugins().get("family", "internvl")), tmp_path / "native", Notes())
    made = json.loads((tmp_path / "native/preprocessor_config.json").read_text())
    assert (made["image_mean"], made["image_std"], made["size"]) == (
        [0.5] * 3,
        [0.229, 0.224, 0.225],
        {"height": 28, "width": 28},
    )
    assert "crop_size" not in made and (made["min_patches"], made["max_patches"]) == (1, 4)
    assert len(said) == 1 and "use_thumbnail" in said[0]
