"""LLaVA-NeXT: CLIP, two linears, a Llama, Mistral or Qwen2, and an embedding for the end of a row
of patches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hubkit.sdk import ModuleGroup, Problem, Support, TensorMap, Vision
from hubkit.sdk.families import (
    CLIP_LINEARS,
    DECODER_LINEARS,
    PlainFamily,
    Section,
    Shapes,
    clip_tower,
    completed,
    decoder,
    linear,
    llava_processor_problems,
    original_llava,
)
from hubkit.sdk.families.blocks import CLIP, text_section

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class LLaVANext(PlainFamily):
    name: ClassVar[str] = "llava_next"
    title: ClassVar[str] = "LLaVA-NeXT"
    support: ClassVar[Support] = Support(
        {
            "en": "LLaVA-NeXT (1.6) in the layout of llava-hf",
            "zh": "llava-hf 格式的 LLaVA-NeXT（1.6）",
        },
        trainers=("peft",),
        engines=("transformers",),
        layouts=("hf",),
        proved=("check", "merge", "step", "release"),
    )
    mark: ClassVar[str] = "LLaVA"
    architectures: ClassVar[tuple[str, ...]] = ("LlavaNextForConditionalGeneration",)
    held: ClassVar[tuple[tuple[str, str], ...]] = (
        ("language_model.model.", "model.language_model."),
        ("language_model.lm_head.", "lm_head."),
        ("vision_tower.vision_model.", "model.vision_tower."),
        ("multi_modal_projector.", "model.multi_modal_projector."),
        ("image_newline", "model.image_newline"),
    )
    spellings: ClassVar[tuple[tuple[str, str], ...]] = (
        ("vision_tower.vision_model.", "vision_tower."),
    )
    groups: ClassVar[Mapping[str, ModuleGroup]] = {
        "llm": ModuleGroup("model.language_model", DECODER_LINEARS),
        "vit": ModuleGroup("model.vision_tower", CLIP_LINEARS),
        "projector": ModuleGroup("model.multi_modal_projector", ("linear_1", "linear_2")),
    }

    def shapes(self, config: Mapping[str, Any]) -> Shapes:
        text, vit = text_section(config), Section(config, "vision_config", CLIP)
        hidden, bias = (
            text.size("hidden_size"),
            Section(config).get("multimodal_projector_bias", bool, True),
        )
        tied = text.get("tie_word_embeddings", bool, False)
        qkv_bias = text.values.get("model_type") == "qwen2"
        yield "image_newline", (hidden,)
        yield from clip_tower(vit, "vision_tower.vision_model.")
        yield from decoder(
            text, "language_model.model.", "language_model.lm_head.weight", tied, qkv_bias
        )
        yield from linear("multi_modal_projector.linear_1", hidden, vit.size("hidden_size"), bias)
        yield from linear("multi_modal_projector.linear_2", hidden, hidden, bias)

    def check(self, folder: Path, config: Mapping[str, Any]) -> tuple[Problem, ...]:
        return (*super().check(folder, config), *llava_processor_problems(folder, config))

    def native_config(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return completed(super().native_config(config))

    def aliases(self, config: Mapping[str, Any]) -> tuple[TensorMap, ...]:
        """An adapter may have been trained by LLaVA's own code."""
        return tuple(original_llava(self.layout(config)))

    def vision(self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> Vision:
        """At least the whole picture in one tile; tiles of the grids of `image_grid_pinpoints` come
        before it."""
        vit = Section(config, "vision_config", CLIP)
        side = vit.size("image_size")
        grids = [
            height // side * (width // side)
            for height, width in config.get("image_grid_pinpoints") or [[side, side]]
        ]
        patches = (side // vit.size("patch_size")) ** 2
        return Vision(
            side, patches, 1, 1 + max(grids), True, MEAN, STD, "", "<image>", "", "processor"
        )
