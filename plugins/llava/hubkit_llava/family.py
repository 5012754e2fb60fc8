"""LLaVA-1.5 as hubkit sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from hubkit.sdk import ModuleGroup, Problem, Support, TensorMap, Vision
from hubkit.sdk.assembly import Assembly
from hubkit.sdk.families import (
    CLIP_LINEARS,
    DECODER_LINEARS,
    LISTED,
    PlainFamily,
    Section,
    Shapes,
    clip_tower,
    completed,
    decoder,
    internlm2_as_llama,
    linear,
    llava_processor_problems,
    original_llava,
)
from hubkit.sdk.families.blocks import CLIP, text_section

from . import assembly
from .clip import MEAN, STD


class LLaVA(PlainFamily):
    name: ClassVar[str] = "llava"
    sdk: ClassVar[str] = "1.2"
    title: ClassVar[str] = "LLaVA"
    support: ClassVar[Support] = Support(
        {
            "en": "LLaVA-1.5 in the layout of llava-hf: CLIP with Llama, Mistral or Qwen2",
            "zh": "llava-hf 格式的 LLaVA-1.5：CLIP 加 Llama、Mistral 或 Qwen2",
        },
        trainers=("peft",),
        engines=("transformers", "lmdeploy"),
        layouts=("hf",),
        proved=("check", "merge", "step", "gpu"),
    )
    mark: ClassVar[str] = "LLaVA"
    architectures: ClassVar[tuple[str, ...]] = ("LlavaForConditionalGeneration",)
    held: ClassVar[tuple[tuple[str, str], ...]] = (
        ("language_model.model.", "model.language_model."),
        ("language_model.lm_head.", "lm_head."),
        ("vision_tower.vision_model.", "model.vision_tower."),
        ("multi_modal_projector.", "model.multi_modal_projector."),
    )
    spellings: ClassVar[tuple[tuple[str, str], ...]] = (
        ("vision_tower.vision_model.", "vision_tower."),
    )
    groups: ClassVar[Mapping[str, ModuleGroup]] = {
        "llm": ModuleGroup("model.language_model", DECODER_LINEARS),
        "vit": ModuleGroup("model.vision_tower", CLIP_LINEARS),
        "projector": ModuleGroup("model.multi_modal_projector", ("linear_1", "linear_2")),
    }
    chat_prelude: ClassVar[str] = LISTED
    image_token_text = assembly.IMAGE_TOKEN

    def shapes(self, config: Mapping[str, Any]) -> Shapes:
        text, vit = text_section(config), Section(config, "vision_config", CLIP)
        tied = text.get("tie_word_embeddings", bool, False)
        qkv_bias = text.values.get("model_type") == "qwen2"
        yield from clip_tower(vit, "vision_tower.vision_model.")
        yield from decoder(
            text, "language_model.model.", "language_model.lm_head.weight", tied, qkv_bias
        )
        yield from projector(config)

    def check(self, folder: Path, config: Mapping[str, Any]) -> tuple[Problem, ...]:
        return (*super().check(folder, config), *llava_processor_problems(folder, config))

    def native_config(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return completed(super().native_config(config))

    def vision(self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> Vision:
        vit, given = Section(config, "vision_config", CLIP), preprocessor or {}
        whole = Section(config).get("vision_feature_select_strategy", str, "default") == "full"
        fit: Literal["crop", "pad"] = "pad" if given.get("do_pad") else "crop"
        return Vision(
            tile=vit.size("image_size"),
            tokens_per_tile=(vit.size("image_size") // vit.size("patch_size")) ** 2 + whole,
            min_tiles=1,
            max_tiles=1,
            thumbnail=False,
            mean=channels(given, "image_mean", MEAN),
            std=channels(given, "image_std", STD),
            start="",
            context=assembly.IMAGE_TOKEN,
            end="",
            fit=fit,
        )

    def assemble(
        self, llm: Mapping[str, Any], vision: Mapping[str, Any], image_token: int
    ) -> Assembly:
        return assembly.assemble(self, llm, vision, image_token)

    def aliases(self, config: Mapping[str, Any]) -> tuple[TensorMap, ...]:
        """An adapter may have been trained by LLaVA's own code, or on the InternLM2 that the
        language model was made from."""
        original = tuple(original_llava(self.layout(config)))
        text, old = text_section(config), "language_model."
        if text.values.get("model_type", "llama") != "llama":
            return original
        maps = internlm2_as_llama(text, text.get("tie_word_embeddings", bool, False))
        return original + tuple(
            TensorMap(old + one.name, old + one.source, one.rows)
            for one in maps
            if one.name != one.source
        )


def projector(config: Mapping[str, Any]) -> Shapes:
    """Two linears, from CLIP's width to the language model's. Several feature layers are put side
    by side."""
    top, hidden = Section(config), text_section(config).size("hidden_size")
    layers, bias = (
        config.get("vision_feature_layer", -2),
        top.get("multimodal_projector_bias", bool, True),
    )
    wide = Section(config, "vision_config", CLIP).size("hidden_size") * (
        len(layers) if isinstance(layers, list) else 1
    )
    yield from linear("multi_modal_projector.linear_1", hidden, wide, bias)
    yield from linear("multi_modal_projector.linear_2", hidden, hidden, bias)


def channels(
    preprocessor: Mapping[str, Any], key: str, usual: tuple[float, float, float]
) -> tuple[float, float, float]:
    section = Section({key: list(usual), **preprocessor})
    values = section.values[key]
    if (
        not isinstance(values, list)
        or len(values) != 3
        or not all(isinstance(value, (int, float)) for value in values)
    ):
        raise section.wrong(
            key, f"(preprocessor_config.json) must be three numbers, not {values!r}"
        )
    red, green, blue = map(float, values)
    return red, green, blue
