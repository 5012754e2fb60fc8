"""Qwen2-VL and Qwen2.5-VL: a vision transformer over 3-D patches, a merger, and Qwen2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hubkit.sdk import ModuleGroup, NativeModel, Support, Vision
from hubkit.sdk.families import (
    DECODER_LINEARS,
    PlainFamily,
    Section,
    Shapes,
    decoder,
    linear,
    normed,
)
from hubkit.sdk.families.defaults import DECODERS, VISION

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_NEW = "Qwen2_5_VLForConditionalGeneration"


class QwenVL(PlainFamily):
    name: ClassVar[str] = "qwen_vl"
    title: ClassVar[str] = "Qwen-VL"
    support: ClassVar[Support] = Support(
        {"en": "Qwen2-VL and Qwen2.5-VL", "zh": "Qwen2-VL 与 Qwen2.5-VL"},
        trainers=("peft",),
        engines=("transformers",),
        layouts=("hf",),
        proved=("check", "merge", "step", "release"),
    )
    mark: ClassVar[str] = "Qwen"
    servers: ClassVar[tuple[str, ...]] = ("vLLM", "SGLang")
    architectures: ClassVar[tuple[str, ...]] = ("Qwen2VLForConditionalGeneration", _NEW)
    held: ClassVar[tuple[tuple[str, str], ...]] = (
        ("visual.", "model.visual."),
        ("model.", "model.language_model."),
    )
    groups: ClassVar[Mapping[str, ModuleGroup]] = {
        "llm": ModuleGroup("model.language_model", DECODER_LINEARS),
        "vit": ModuleGroup("model.visual.blocks", ("qkv", "proj", "fc1", "fc2")),
        "projector": ModuleGroup("model.visual.merger", ("0", "2")),
    }

    def native(
        self, config: Mapping[str, Any], tokens: Mapping[str, int] | None = None
    ) -> NativeModel:
        from dataclasses import replace

        native = super().native(config, tokens)
        if not _is_new(config):
            return native
        gated = ModuleGroup(
            "model.visual.blocks", ("qkv", "proj", "gate_proj", "up_proj", "down_proj")
        )
        return replace(native, groups={**self.groups, "vit": gated})

    def image_token(self, config: Mapping[str, Any]) -> tuple[str, int | None]:
        """Qwen2-VL's first config.json files leave the id to the class's default."""
        key, number = super().image_token(config)
        return key, 151655 if number is None else number

    def shapes(self, config: Mapping[str, Any]) -> Shapes:
        text, vit = (
            _text(config),
            _vision(config),
        )
        yield from _new_tower(vit) if _is_new(config) else _tower(vit)
        tied = Section(config).get(
            "tie_word_embeddings", bool, text.get("tie_word_embeddings", bool, False)
        )
        yield from decoder(text, "model.", "lm_head.weight", tied, qkv_bias=True)

    def vision(self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> Vision:
        """The smallest unit, one position: `spatial_merge_size` patches squared. A picture has as
        many as it needs."""
        vit = _vision(config)
        side = vit.size("patch_size") * vit.size("spatial_merge_size")
        most = Section(preprocessor or {}).size("max_pixels", 12845056) // side**2
        start, end = "<|vision_start|>", "<|vision_end|>"
        return Vision(
            side, 1, 1, max(1, most), False, MEAN, STD, start, "<|image_pad|>", end, "processor"
        )


def _is_new(config: Mapping[str, Any]) -> bool:
    return _NEW in (config.get("architectures") or ())


def _text(config: Mapping[str, Any]) -> Section:
    """Published files have the language model's keys at the top; transformers 5 writes them under
    `text_config`."""
    name = "text_config" if "text_config" in config else ""
    return Section(config, name, DECODERS["qwen2_vl"])


def _vision(config: Mapping[str, Any]) -> Section:
    return Section(config, "vision_config", VISION["qwen2_5_vl" if _is_new(config) else "qwen2_vl"])


def _patches(vit: Section, width: int) -> Shapes:
    patch = vit.size("patch_size")
    yield (
        "visual.patch_embed.proj.weight",
        (width, vit.size("in_channels"), vit.size("temporal_patch_size"), patch, patch),
    )


def _merger(vit: Section, width: int, out: int, bias: bool) -> Shapes:
    wide = width * vit.size("spatial_merge_size") ** 2
    yield from normed("visual.merger.ln_q", width, bias)
    yield from linear("visual.merger.mlp.0", wide, wide)
    yield from linear("visual.merger.mlp.2", out, wide)


def _tower(vit: Section) -> Shapes:
    width = vit.size("embed_dim")
    inner = int(width * vit.get("mlp_ratio", float))
    yield from _patches(vit, width)
    for number in range(vit.size("depth")):
        at = f"visual.blocks.{number}."
        yield from normed(f"{at}norm1", width)
        yield from normed(f"{at}norm2", width)
        yield from linear(f"{at}attn.qkv", 3 * width, width)
        yield from linear(f"{at}attn.proj", width, width)
        yield from linear(f"{at}mlp.fc1", inner, width)
        yield from linear(f"{at}mlp.fc2", width, inner)
    yield from _merger(vit, width, vit.size("hidden_size"), bias=True)


def _new_tower(vit: Section) -> Shapes:
    width, inner = vit.size("hidden_size"), vit.size("intermediate_size")
    yield from _patches(vit, width)
    for number in range(vit.size("depth")):
        at = f"visual.blocks.{number}."
        yield from normed(f"{at}norm1", width, bias=False)
        yield from normed(f"{at}norm2", width, bias=False)
        yield from linear(f"{at}attn.qkv", 3 * width, width)
        yield from linear(f"{at}attn.proj", width, width)
        yield from linear(f"{at}mlp.gate_proj", inner, width)
        yield from linear(f"{at}mlp.up_proj", inner, width)
        yield from linear(f"{at}mlp.down_proj", width, inner)
    yield from _merger(vit, width, vit.size("out_hidden_size"), bias=False)
