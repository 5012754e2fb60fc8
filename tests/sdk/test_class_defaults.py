"""What config.json leaves out is what transformers' own configuration classes fill in."""

from __future__ import annotations

import pytest

from hubkit.sdk.families.defaults import DECODERS, VISION

DECODER_CLASSES = {
    "llama": "LlamaConfig",
    "mistral": "MistralConfig",
    "qwen2": "Qwen2Config",
    "qwen3": "Qwen3Config",
    "phi3": "Phi3Config",
    "qwen3_vl_text": "Qwen3VLTextConfig",
    "qwen3_moe": "Qwen3MoeConfig",
    "qwen3_vl_moe_text": "Qwen3VLMoeTextConfig",
    "gpt_oss": "GptOssConfig",
    "qwen2_vl": "Qwen2VLTextConfig",
}
VISION_CLASSES = {
    "clip_vision_model": "CLIPVisionConfig",
    "siglip_vision_model": "SiglipVisionConfig",
    "qwen3_vl": "Qwen3VLVisionConfig",
    "qwen2_vl": "Qwen2VLVisionConfig",
    "qwen2_5_vl": "Qwen2_5_VLVisionConfig",
}
OWN = {"internlm2", "intern_vit_6b"}
"""Classes that come with the models (see hubkit/sdk/families/defaults.py)."""


@pytest.mark.parametrize(
    ("table", "classes"), [(DECODERS, DECODER_CLASSES), (VISION, VISION_CLASSES)]
)
def test_they_are_the_classes_own(table: dict[str, object], classes: dict[str, str]) -> None:
    import transformers
    from transformers.models.qwen2_5_vl import configuration_qwen2_5_vl as newer
    from transformers.models.qwen2_vl import configuration_qwen2_vl as older
    from transformers.models.qwen3_vl import configuration_qwen3_vl as third
    from transformers.models.qwen3_vl_moe import configuration_qwen3_vl_moe as fourth

    assert table.keys() - OWN == classes.keys()
    for kind, name in classes.items():
        places = (transformers, older, newer, third, fourth)
        (found,) = {getattr(place, name) for place in places if hasattr(place, name)}
        usual, stated = found(), table[kind]
        assert isinstance(stated, dict)
        assert {key: getattr(usual, key) for key in stated} == stated, kind


def test_the_newer_qwen_has_the_olders_language_model() -> None:
    from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLTextConfig

    usual = Qwen2_5_VLTextConfig()
    stated = DECODERS["qwen2_vl"]
    assert {key: getattr(usual, key) for key in stated} == stated
