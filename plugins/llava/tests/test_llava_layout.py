"""The tables against transformers' own classes."""

from __future__ import annotations

from typing import Any

import pytest
from hubkit_llava import LLaVA
from hubkit_llava.conformance import CONFIG
from testing.published import Index

from hubkit.sdk import Record, Turn, UsageError, prompts, tiles
from hubkit.sdk.testing import check_family

VIT = {
    **{
        "model_type": "clip_vision_model",
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
    },
    **{"num_attention_heads": 2, "image_size": 28, "patch_size": 14},
}
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 60,
}
TEXTS = [
    {"model_type": "llama", **SMALL, "num_key_value_heads": 2},
    {"model_type": "llama", **SMALL, "attention_bias": True, "mlp_bias": True, "head_dim": 16},
    {"model_type": "mistral", **SMALL, "num_key_value_heads": 2},
    {"model_type": "qwen2", **SMALL, "num_key_value_heads": 2, "tie_word_embeddings": True},
]


def _config(text: dict[str, Any], **more: Any) -> dict[str, Any]:
    top = {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "image_token_index": 50,
    }
    tied = text.get("tie_word_embeddings", False)
    return {**top, "text_config": text, "vision_config": VIT, "tie_word_embeddings": tied, **more}


@pytest.mark.parametrize("text", TEXTS)
def test_names_and_shapes_are_transformers_own(text: dict[str, Any]) -> None:
    import torch
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    config = _config(text, vision_feature_layer=[-2, -1] if text.get("attention_bias") else -2)
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(LlavaConfig(**config))
    tied = text.get("tie_word_embeddings", False)
    live = {
        name: tuple(t.shape)
        for name, t in model.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }
    layout = LLaVA().layout(config)
    assert {one.name: layout[one.source] for one in LLaVA().native(config).tensors} == live
    assert "vision_tower.vision_model.embeddings.class_embedding" in layout
    assert ("language_model.lm_head.weight" in layout) is not tied


def test_the_published_7b_has_as_many_parameters_as_its_repository_says() -> None:
    """llava-hf/llava-1.5-7b-hf, and its model.safetensors.index.json."""
    assert LLaVA().describe(CONFIG).parameters == 7_063_427_072
    known = Index(686, "d87fc2ecd8ca239159eb0b0449a48c34", 14_126_854_144)
    known.check(LLaVA().layout(CONFIG))
    seen = LLaVA().vision(CONFIG, None)
    assert (seen.tile, seen.tokens_per_tile, seen.max_tiles, seen.fit) == (336, 576, 1, "crop")


def test_the_contract_is_kept() -> None:
    check_family(
        LLaVA(),
        _config(TEXTS[0]),
        accepted="a/llava-mine",
        refused="a/InternVL",
        tokens={"<image>": 50},
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text_config": {**TEXTS[0], "model_type": "gemma"}}, "text_config.model_type is 'gemma'"),
        ({"text_config": None}, "text_config is missing"),
        (
            {"vision_config": {**VIT, "hidden_size": "16"}},
            "vision_config.hidden_size must be int, not '16'",
        ),
    ],
)
def test_a_config_of_another_kind_is_refused_by_its_key(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        LLaVA().layout({**_config(TEXTS[0]), **change})


def test_another_id_of_the_image_token_is_refused() -> None:
    with pytest.raises(UsageError, match="image_token_index is 50, but <image> has id 7"):
        LLaVA().native(_config(TEXTS[0]), {"<image>": 7})


def test_pictures_are_cropped_or_padded_to_one_tile() -> None:
    from PIL import Image

    picture = Image.new("RGB", (60, 20), (255, 0, 0))
    picture.paste((0, 0, 255), (20, 0, 40, 20))
    cropped = LLaVA().vision(_config(TEXTS[0]), {"do_center_crop": True})
    padded = LLaVA().vision(_config(TEXTS[0]), {"do_pad": True})
    (middle,), (whole,) = tiles(picture, cropped), tiles(picture, padded)
    assert middle.size == whole.size == (28, 28)
    assert middle.getpixel((14, 14)) == whole.getpixel((14, 14)) == (0, 0, 255)
    assert middle.getpixel((3, 14)) == (0, 0, 255) and whole.getpixel((3, 14)) == (255, 0, 0)
    assert whole.getpixel((14, 2)) == tuple(int(value * 255) for value in padded.mean)


def test_a_picture_is_its_token_many_times() -> None:
    seen = LLaVA().vision(_config(TEXTS[0]), None)
    record = Record("one", ("1.png",), (Turn("<image>\nWhat?", "x"), Turn("Sure?", "y")))
    assert prompts(record, [1], seen) == ("<image>" * 4 + "\nWhat?", "Sure?")
    assert prompts(record, [1], seen)[0].count(seen.mark) == 1
