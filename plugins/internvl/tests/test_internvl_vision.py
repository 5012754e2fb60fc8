"""What the config says of pictures; the repository's name; the card."""

from __future__ import annotations

import pytest
from hubkit_internvl import InternVL

from hubkit.sdk import UsageError, grid


def test_official_tiles(official):
    vision = InternVL().vision(official, None)
    assert (
        vision.tile,
        vision.tokens_per_tile,
        vision.min_tiles,
        vision.max_tiles,
        vision.thumbnail,
    ) == (448, 256, 1, 12, True)
    assert vision.mean == (0.485, 0.456, 0.406)
    assert grid(896, 448, vision) == (2, 1)
    assert vision.placeholder(1).count("<IMG_CONTEXT>") == 256


def test_static_images_are_one_tile_without_thumbnail(official):
    official["dynamic_image_size"] = False
    vision = InternVL().vision(official, None)
    assert (vision.min_tiles, vision.max_tiles, vision.thumbnail) == (1, 1, False)


def test_preprocessor_overrides_the_channels(official):
    vision = InternVL().vision(
        official, {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 1]}
    )
    assert (vision.mean, vision.std) == ((0.5, 0.5, 0.5), (0.25, 0.25, 1.0))
    with pytest.raises(UsageError, match="image_mean must be three numbers"):
        InternVL().vision(official, {"image_mean": [0.5]})


@pytest.mark.parametrize(
    "name", ["InternVL2-2B-food", "org/My-InternVL", "org.x/InternVL2_5-1B.v2"]
)
def test_good_names(name):
    assert InternVL().repository_problem(name) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Food-Model", "does not contain 'InternVL'"),
        ("org/internvl2-2b", "does not contain 'InternVL'"),
        ("InternVL-org/food", "does not contain 'InternVL'"),
        ("a/b/InternVL", "more than one slash"),
        ("org/InternVL--x", "not a valid name"),
        ("org/InternVL food", "not a valid name"),
        ("/InternVL", "not a valid name"),
        ("org/InternVL2.git", "not a valid name"),
        ("org/../InternVL", "more than one slash"),
        ("../InternVL", "not a valid name"),
        ("InternVL\n", "not a valid name"),
    ],
)
def test_bad_names_say_the_rule(name, why):
    problem = InternVL().repository_problem(name)
    assert problem is not None and why in problem


def test_card_puts_the_picture_before_the_text(official):
    card = InternVL().card(official)
    assert (card.library_name, card.pipeline_tag) == ("transformers", "image-text-to-text")
    assert 'pipe(("What is in this picture?", load_image(' in card.usage["LMDeploy"]
    assert "(tiles, 3, 448, 448)" in card.usage["Transformers, without remote code"]
    assert all("{repository}" in text for text in card.usage.values())
