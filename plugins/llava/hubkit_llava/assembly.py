"""A LLaVA base from a language model's folder and CLIP's: which tensor comes from where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubkit.sdk import UsageError
from hubkit.sdk.assembly import Assembly, Taken
from hubkit.sdk.families import (
    FLATTEN,
    VICUNA,
    PlainFamily,
    Section,
    internlm2_as_llama,
    llama_config,
)

from .clip import MEAN, STD

IMAGE_TOKEN = "<image>"
LLM, TOWER, PROJECTOR = "language_model.", "vision_tower.", "multi_modal_projector."
_TEXTS = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "Qwen2ForCausalLM": "qwen2",
    "InternLM2ForCausalLM": "llama",
}
_LEFT_OUT = (
    "auto_map",
    "transformers_version",
    "_name_or_path",
    "torch_dtype",
    "dtype",
    "quantization_config",
)


def assemble(
    family: PlainFamily, llm: Mapping[str, Any], vision: Mapping[str, Any], image_token: int
) -> Assembly:
    kind = _architecture(llm)
    text = llama_config(llm) if kind == "InternLM2ForCausalLM" else dict(llm)
    rows = Section(text).size("vocab_size")
    text = {key: value for key, value in text.items() if key not in _LEFT_OUT}
    text |= {"model_type": _TEXTS[kind], "vocab_size": max(rows, image_token + 1)}
    tower = _tower(vision)
    config = {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "image_token_index": image_token,
        "image_seq_length": (tower["image_size"] // tower["patch_size"]) ** 2,
        "multimodal_projector_bias": True,
        # by which LMDeploy finds pictures in a prompt (lmdeploy 0.18, vl/model/llava_hf.py)
        "pad_token_id": image_token,
        "projector_hidden_act": "gelu",
        "text_config": text,
        "tie_word_embeddings": bool(text.get("tie_word_embeddings", False)),
        "vision_config": tower,
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
    }
    renamed = internlm2_as_llama(Section(text)) if kind == "InternLM2ForCausalLM" else ()
    sources = {one.name: Taken("llm", one.source, one.rows) for one in renamed}
    tensors: dict[str, tuple[Taken, ...]] = {}
    fresh: dict[str, tuple[int, ...]] = {}
    for name, shape in family.layout(config).items():
        if name.startswith(PROJECTOR):
            fresh[name] = shape
        elif name.startswith(TOWER):
            tensors[name] = (Taken("vision", name.removeprefix(TOWER)),)
        else:
            own = name.removeprefix(LLM)
            tensors[name] = _grown(sources.get(own, Taken("llm", own)), own, rows, shape[0])
    tokenizer = {"processor_class": "LlavaProcessor", "image_token": IMAGE_TOKEN}
    return Assembly(
        config,
        tensors,
        fresh,
        _files(tower),
        tokenizer,
        FLATTEN.replace("IMAGE_TOKEN", IMAGE_TOKEN),
        VICUNA,
    )


def _architecture(llm: Mapping[str, Any]) -> str:
    architectures = llm.get("architectures")
    kind = str(architectures[0]) if isinstance(architectures, list) and architectures else ""
    if kind not in _TEXTS:
        raise UsageError(
            f"config.json of the language model: architectures is {architectures!r}; a LLaVA is "
            f"made with {', '.join(_TEXTS)}",
            "give the folder of such a model, unquantised",
        )
    return kind


def _tower(vision: Mapping[str, Any]) -> dict[str, Any]:
    """CLIP's vision configuration, from a folder of the whole CLIP or of its vision tower."""
    found = vision.get("vision_config") if vision.get("model_type") == "clip" else vision
    if not isinstance(found, Mapping) or vision.get("model_type") not in (
        "clip",
        "clip_vision_model",
    ):
        raise UsageError(
            f"config.json of the vision tower: model_type is {vision.get('model_type')!r}, not "
            "clip or clip_vision_model",
            "give the folder of a CLIP, such as clip-vit-large-patch14-336",
        )
    from hubkit.sdk.families.blocks import CLIP

    keys = (*CLIP, "hidden_act", "layer_norm_eps", "projection_dim")
    values = {**CLIP, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, **found}
    return {
        "model_type": "clip_vision_model",
        **{key: values[key] for key in keys if key in values},
    }


def _grown(taken: Taken, name: str, rows: int, wanted: int) -> tuple[Taken, ...]:
    """Tables by token get rows for the image token. They repeat row 0, which is <unk> in Llama's
    and InternLM2's vocabularies, so that no new token is ever more likely than it."""
    if wanted > rows and name in ("model.embed_tokens.weight", "lm_head.weight"):
        return (taken, *[Taken(taken.part, taken.tensor, ((0, 1),))] * (wanted - rows))
    return (taken,)


def _files(tower: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Pictures are padded to a square first, as XTuner trains LLaVA."""
    side = tower["image_size"]
    image = {
        "image_processor_type": "LlavaImageProcessor",
        "processor_class": "LlavaProcessor",
        "do_pad": True,
        "do_resize": True,
        "size": {"shortest_edge": side},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": side, "width": side},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "do_convert_rgb": True,
        "image_mean": list(MEAN),
        "image_std": list(STD),
    }
    processor = {
        "processor_class": "LlavaProcessor",
        "image_token": IMAGE_TOKEN,
        "patch_size": tower["patch_size"],
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
    }
    return {"preprocessor_config.json": image, "processor_config.json": processor}
