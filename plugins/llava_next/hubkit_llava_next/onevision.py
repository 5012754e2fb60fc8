"""LLaVA-OneVision: SigLIP, two linears, Qwen2, and an embedding for the end of a row of patches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from hubkit.sdk import Problem, Support, TensorMap, Vision
from hubkit.sdk.families import PlainFamily, Section, Shapes, decoder, linear, siglip_tower
from hubkit.sdk.families.blocks import text_section
from hubkit.sdk.families.defaults import VISION

from .family import LLaVANext

SIGLIP = VISION["siglip_vision_model"]
HALF = (0.5, 0.5, 0.5)


class LLaVAOneVision(LLaVANext):
    name: ClassVar[str] = "llava_onevision"
    title: ClassVar[str] = "LLaVA-OneVision"
    support: ClassVar[Support] = Support(
        {
            "en": "LLaVA-OneVision in the layout of llava-hf",
            "zh": "llava-hf 格式的 LLaVA-OneVision",
        },
        trainers=("peft",),
        engines=("transformers",),
        layouts=("hf",),
        proved=("check", "merge", "step", "release"),
    )
    architectures: ClassVar[tuple[str, ...]] = ("LlavaOnevisionForConditionalGeneration",)

    def shapes(self, config: Mapping[str, Any]) -> Shapes:
        text, vit = text_section(config), Section(config, "vision_config", SIGLIP)
        hidden = text.size("hidden_size")
        bias = Section(config).get("multimodal_projector_bias", bool, True)
        tied = Section(config).get("tie_word_embeddings", bool, False)
        yield "image_newline", (hidden,)
        yield from siglip_tower(vit, "vision_tower.vision_model.")
        yield from decoder(
            text,
            "language_model.model.",
            "language_model.lm_head.weight",
            tied,
            text.values.get("model_type") == "qwen2",
        )
        yield from linear("multi_modal_projector.linear_1", hidden, vit.size("hidden_size"), bias)
        yield from linear("multi_modal_projector.linear_2", hidden, hidden, bias)

    def check(self, folder: Path, config: Mapping[str, Any]) -> tuple[Problem, ...]:
        return PlainFamily.check(self, folder, config)

    def native_config(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return PlainFamily.native_config(self, config)

    def aliases(self, config: Mapping[str, Any]) -> tuple[TensorMap, ...]:
        return ()

    def vision(self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> Vision:
        """At least the whole picture in one tile."""
        vit = Section(config, "vision_config", SIGLIP)
        side = vit.size("image_size")
        grids = [
            height // side * (width // side)
            for height, width in config.get("image_grid_pinpoints") or [[side, side]]
        ]
        patches = (side // vit.size("patch_size")) ** 2
        most = 1 + max(grids)
        return Vision(side, patches, 1, most, True, HALF, HALF, "", "<image>", "", "processor")
