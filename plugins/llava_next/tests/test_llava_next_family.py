"""The tables against transformers' own class, and a merge against PEFT's live adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hubkit_llava_next import LLaVANext
from hubkit_llava_next.conformance import CONFIG as PUBLISHED
from testing.live_adapter import check_merge
from testing.processors import CLIP_PREPROCESSOR, positions, problems, write_json, write_tokenizer

from hubkit.sdk import UsageError, tiles
from hubkit.sdk.testing import check_family

TEXT = {
    **{
        "model_type": "mistral",
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "vocab_size": 60,
    },
    **{"num_attention_heads": 4, "num_key_value_heads": 2},
}
VIT = {
    **{
        "model_type": "clip_vision_model",
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
    },
    **{"num_attention_heads": 2, "image_size": 28, "patch_size": 14},
}
CONFIG = {
    **{
        "architectures": ["LlavaNextForConditionalGeneration"],
        "model_type": "llava_next",
        "image_token_index": 50,
    },
    **{
        "text_config": TEXT,
        "vision_config": VIT,
        "image_grid_pinpoints": [[28, 56], [56, 56]],
        "tie_word_embeddings": False,
    },
}


def _model() -> Any:
    import torch
    from transformers import LlavaNextConfig, LlavaNextForConditionalGeneration

    torch.manual_seed(4)
    return LlavaNextForConditionalGeneration(LlavaNextConfig(**CONFIG)).eval()


def test_names_and_shapes_are_transformers_own() -> None:
    layout = LLaVANext().layout(CONFIG)
    live = {name: tuple(tensor.shape) for name, tensor in _model().state_dict().items()}
    assert {one.name: layout[one.source] for one in LLaVANext().native(CONFIG).tensors} == live


def test_the_contract_is_kept() -> None:
    check_family(
        LLaVANext(), CONFIG, accepted="a/llava-v1.6-mine", refused="a/Mine", tokens={"<image>": 50}
    )


def test_pictures_are_left_to_the_models_own_processor() -> None:
    from PIL import Image

    seen = LLaVANext().vision(CONFIG, None)
    assert (seen.tile, seen.tokens_per_tile, seen.max_tiles) == (28, 4, 5)
    with pytest.raises(UsageError, match="arranged by the model's own processor"):
        tiles(Image.new("RGB", (9, 9)), seen)


def test_a_merged_adapter_gives_the_live_logits(tmp_path: Path) -> None:
    import torch

    pixels = torch.randn(1, 3, 3, 28, 28, generator=torch.Generator().manual_seed(6))
    ids = torch.tensor([[1, *[50] * _positions(pixels), 7, 8]])
    inputs = {"input_ids": ids, "pixel_values": pixels, "image_sizes": torch.tensor([[28, 56]])}
    check_merge(tmp_path, _model(), LLaVANext(), CONFIG, inputs)


def _positions(pixels: Any) -> int:
    """4 of the whole picture; two tiles side by side, each row of 4 with one more for its end, 2
    rows."""
    return 4 + 2 * (4 + 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    number = write_tokenizer(tmp_path, "<image>")
    text = {**TEXT, "vocab_size": number + 1}
    files = {
        "config.json": {**CONFIG, "image_token_index": number, "text_config": text},
        "preprocessor_config.json": {
            **CLIP_PREPROCESSOR,
            "image_processor_type": "LlavaNextImageProcessor",
            "image_grid_pinpoints": CONFIG["image_grid_pinpoints"],
        },
        "processor_config.json": {
            **{"processor_class": "LlavaNextProcessor", "patch_size": 14},
            **{"num_additional_image_tokens": 1, "vision_feature_select_strategy": "default"},
        },
    }
    write_json(tmp_path, files)
    return tmp_path


def test_a_sound_folder_loads_with_auto_processor(folder: Path) -> None:
    """Two tiles of 2 x 2 patches below one another or one, each row with its end, and the whole."""
    assert problems(LLaVANext(), folder) == [] and positions(folder, "<image>") >= 4 + 2 * 3


@pytest.mark.parametrize("names", [("preprocessor", "processor"), ("preprocessor",)])
def test_one_that_does_not_load_is_not_sound(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / f"{name}_config.json").unlink()
    assert problems(LLaVANext(), folder) and not positions(folder, "<image>")


def test_what_the_processor_cannot_count_without(folder: Path) -> None:
    (folder / "processor_config.json").write_text('{"processor_class": "LlavaNextProcessor"}')
    where = "processor_config.json: "
    found = [f"{where}patch_size", f"{where}vision_feature_select_strategy"]
    assert problems(LLaVANext(), folder) == found and not positions(folder, "<image>")


def test_the_bytes_of_published_weights() -> None:
    """llava-v1.6-mistral-7b-hf's in bfloat16, by its published configuration. Its index file was
    not at hand."""
    assert 2 * LLaVANext().describe(PUBLISHED).parameters == 15_133_495_296
