"""The tables against transformers' own classes, and a merge against PEFT's live adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hubkit_qwen_vl import QwenVL
from hubkit_qwen_vl.conformance import CONFIG as QWEN25_3B
from testing.live_adapter import check_merge
from testing.published import Index

from hubkit.sdk import UsageError, grid
from hubkit.sdk.testing import check_family

TEXT = {
    **{
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "vocab_size": 60,
    },
    **{"num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2, "rope_theta": 10000.0},
    "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
}
OLD = {
    "depth": 2,
    "embed_dim": 16,
    "hidden_size": 32,
    "num_heads": 2,
    "mlp_ratio": 4,
    "patch_size": 14,
    "spatial_merge_size": 2,
}
NEW = {
    **{
        "depth": 2,
        "hidden_size": 16,
        "out_hidden_size": 32,
        "intermediate_size": 24,
        "num_heads": 2,
        "patch_size": 14,
    },
    **{"fullatt_block_indexes": [1], "spatial_merge_size": 2},
}
IDS = {
    "image_token_id": 50,
    "video_token_id": 51,
    "vision_start_token_id": 52,
    "vision_end_token_id": 53,
}
TOKENS = {"<|image_pad|>": 50}


def _config(version: str, tied: bool, nested: bool) -> dict[str, Any]:
    name = {"qwen2_vl": "Qwen2VL", "qwen2_5_vl": "Qwen2_5_VL"}[version]
    top = {
        "architectures": [f"{name}ForConditionalGeneration"],
        "model_type": version,
        "tie_word_embeddings": tied,
        **IDS,
    }
    text: dict[str, Any] = {"text_config": TEXT} if nested else TEXT
    return {**top, **text, "vision_config": OLD if version == "qwen2_vl" else NEW}


def _model(config: dict[str, Any]) -> Any:
    import torch
    import transformers

    kind = getattr(transformers, config["architectures"][0])
    torch.manual_seed(4)
    return kind(kind.config_class(**config)).eval()


CONFIGS = [
    *(_config("qwen2_vl", tied, nested) for tied, nested in ((False, True), (True, False))),
    *(_config("qwen2_5_vl", tied, nested) for tied, nested in ((False, False), (True, True))),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_names_and_shapes_are_transformers_own(config: dict[str, Any]) -> None:
    layout, tied = QwenVL().layout(config), config["tie_word_embeddings"]
    live = {
        name: tuple(t.shape)
        for name, t in _model(config).state_dict().items()
        if not (tied and name == "lm_head.weight")
    }
    assert {one.name: layout[one.source] for one in QwenVL().native(config).tensors} == live


@pytest.mark.parametrize("config", CONFIGS)
def test_the_contract_is_kept(config: dict[str, Any]) -> None:
    check_family(QwenVL(), config, accepted="a/Qwen2-VL-Food", refused="a/Food", tokens=TOKENS)


def test_pictures_are_left_to_the_models_own_processor() -> None:
    seen = QwenVL().vision(CONFIGS[0], {"max_pixels": 784 * 9})
    assert (seen.tile, seen.tokens_per_tile, seen.max_tiles) == (28, 1, 9)
    with pytest.raises(UsageError, match="arranged by the model's own processor"):
        grid(28, 28, seen)


@pytest.mark.parametrize("config", [CONFIGS[0], CONFIGS[2]])
def test_a_merged_adapter_gives_the_live_logits(config: dict[str, Any], tmp_path: Path) -> None:
    """One picture of 4 x 4 patches, 4 positions."""
    import torch

    pixels = torch.randn(16, 3 * 2 * 14 * 14, generator=torch.Generator().manual_seed(6))
    ids = torch.tensor([[1, 52, *[50] * 4, 53, 7, 8]])
    inputs = {
        **{"input_ids": ids, "pixel_values": pixels, "image_grid_thw": torch.tensor([[1, 4, 4]])},
        "mm_token_type_ids": (ids == 50).int(),
    }
    check_merge(tmp_path, _model(config), QwenVL(), config, inputs)


SAVED: dict[str, dict[str, Any]] = {
    "Qwen2VLForConditionalGeneration": {
        **{"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28},
        **{"num_attention_heads": 12, "num_key_value_heads": 2, "vocab_size": 151936},
        "tie_word_embeddings": True,
        "vision_config": {
            **{"hidden_size": 1536, "in_chans": 3, "model_type": "qwen2_vl"},
            "spatial_patch_size": 14,
        },
    },
    "Qwen2_5_VLForConditionalGeneration": {
        **{"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28},
        **{"num_attention_heads": 28, "num_key_value_heads": 4},
        "vision_config": {"in_chans": 3, "spatial_patch_size": 14},
    },
}
"""The keys that transformers 4.46 and 4.49 write of the published 2B and 7B."""


@pytest.mark.parametrize("keys", [*SAVED.values(), {"vision_config": {}}])
@pytest.mark.parametrize("name", [*SAVED])
def test_class_defaults_that_are_left_out(name: str, keys: dict[str, Any]) -> None:
    """Read by transformers' own classes, on the meta device."""
    import torch
    import transformers

    version = "qwen2_vl" if name.startswith("Qwen2VL") else "qwen2_5_vl"
    config = {"architectures": [name], "model_type": version, **keys}
    if version == "qwen2_5_vl":  # whose tower says its own width to the language model
        out = keys.get("hidden_size", 8192)
        config["vision_config"] = {**keys["vision_config"], "out_hidden_size": out}
    kind = getattr(transformers, name)
    with torch.device("meta"):
        live = kind(kind.config_class(**config))
    tied = config.get("tie_word_embeddings", False)
    shapes = {
        name: tuple(tensor.shape)
        for name, tensor in live.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }
    layout = QwenVL().layout(config)
    assert {one.name: layout[one.source] for one in QwenVL().native(config).tensors} == shapes


QWEN2_2B = {
    "architectures": ["Qwen2VLForConditionalGeneration"],
    **{"hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28},
    **{"num_attention_heads": 12, "num_key_value_heads": 2, "vocab_size": 151936},
    "tie_word_embeddings": True,
    "vision_config": {"depth": 32, "embed_dim": 1280, "hidden_size": 1536, "mlp_ratio": 4},
}
QWEN25_7B = {
    **QWEN25_3B,
    **{"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28},
    **{"num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064},
    "tie_word_embeddings": False,
    "vision_config": {**QWEN25_3B["vision_config"], "out_hidden_size": 3584},
}


@pytest.mark.parametrize(
    ("config", "total"),
    [(QWEN2_2B, 4_417_971_200), (QWEN25_3B, 7_509_245_952), (QWEN25_7B, 16_584_333_312)],
    ids=["Qwen2-VL-2B-Instruct", "Qwen2.5-VL-3B-Instruct", "Qwen2.5-VL-7B-Instruct"],
)
def test_the_bytes_of_published_weights(config: dict[str, Any], total: int) -> None:
    """In bfloat16, by the published configurations. Their index files were not at hand."""
    assert 2 * QwenVL().describe(config).parameters == total


def test_the_index_of_qwen2_vl_7b() -> None:
    """allenai/olmOCR-7B-0225-preview's model.safetensors.index.json, a Qwen2-VL-7B-Instruct trained
    further."""
    config = {
        **QWEN2_2B,
        **{"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28},
        **{"num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064},
        "tie_word_embeddings": False,
        "vision_config": {**QWEN2_2B["vision_config"], "hidden_size": 3584},
    }
    known = Index(730, "06359d7983e631bdd30aaa7b97434c0e", 16_582_751_232)
    known.check(QwenVL().layout(config))
