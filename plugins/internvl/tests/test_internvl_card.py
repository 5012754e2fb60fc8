"""What the card of an InternVL tells readers to do with a picture."""

from __future__ import annotations

import re
from pathlib import Path

import numpy
import pytest
from hubkit_internvl.card import card
from PIL import Image

from hubkit.sdk import Vision, tiles

VISION = Vision(
    tile=56,
    tokens_per_tile=16,
    min_tiles=1,
    max_tiles=12,
    thumbnail=True,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


@pytest.mark.parametrize("size", [(56, 56), (200, 90), (90, 400), (640, 480), (1000, 60)])
def test_load_image_of_the_card_makes_the_tiles_that_the_model_was_trained_on(
    size: tuple[int, int], tmp_path: Path
) -> None:
    import torch

    picture = Image.radial_gradient("L").resize(size).convert("RGB")
    picture.save(tmp_path / "picture.png")
    for snippet in card(VISION).usage.values():
        if "def load_image" in snippet:
            (code,) = re.findall(r"^(def load_image.*?)\n\n\n?\w", snippet, re.M | re.S)
            scope = {"torch": torch, "numpy": numpy, "Image": Image}
            exec(code, scope)  # noqa: S102
            made = scope["load_image"](tmp_path / "picture.png")  # type: ignore[operator]
            wanted = numpy.stack([numpy.asarray(tile) for tile in tiles(picture, VISION)]) / 255
            wanted = ((wanted - VISION.mean) / VISION.std).transpose(0, 3, 1, 2)
            assert made.dtype == torch.float32
            assert made.shape == wanted.shape
            assert numpy.abs(made.numpy() - wanted).max() < 1e-5


def test_the_snippets_are_python_and_all_languages_have_them() -> None:
    facts = card(VISION)
    assert [len(usage) for usage in facts.usage_in.values()] == [5, 5]
    for usage in facts.usage_in.values():
        for snippet in usage.values():
            for code in re.findall(r"^```python\n(.*?)^```$", snippet, re.M | re.S):
                compile(code.replace("{repository}", "InternVL2-X"), "card", "exec")
                assert max(map(len, code.splitlines())) <= 100
    assert "thumbnail" not in str(facts.usage)
