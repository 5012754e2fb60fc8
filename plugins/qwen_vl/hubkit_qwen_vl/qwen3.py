"""Qwen3-VL: a vision transformer with learnt positions, mergers after several of its layers, and
Qwen3 or Qwen3-MoE, whose published weights hold all experts of a layer in one tensor, (expert, in,
out)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hubkit.sdk import Experts, ModuleGroup, Support, Vision
from hubkit.sdk.families import (
    DECODER_LINEARS,
    EXPERTS,
    Mixture,
    PlainFamily,
    Section,
    Shapes,
    decoder,
    linear,
    normed,
    sparse_layers,
)
from hubkit.sdk.families.defaults import DECODERS, VISION

HALF = (0.5, 0.5, 0.5)
_MOE = "Qwen3VLMoeForConditionalGeneration"
_LLM = "model.language_model."


class Qwen3VL(PlainFamily):
    """Published names are those in memory."""

    name: ClassVar[str] = "qwen3_vl"
    title: ClassVar[str] = "Qwen3-VL"
    support: ClassVar[Support] = Support(
        {"en": "Qwen3-VL (dense and MoE)", "zh": "Qwen3-VL（稠密与 MoE）"},
        trainers=("peft",),
        engines=("transformers",),
        layouts=("hf",),
        proved=("check", "merge", "step"),
    )
    mark: ClassVar[str] = "Qwen"
    servers: ClassVar[tuple[str, ...]] = ("vLLM", "SGLang")
    architectures: ClassVar[tuple[str, ...]] = ("Qwen3VLForConditionalGeneration", _MOE)
    held: ClassVar[tuple[tuple[str, str], ...]] = ()
    groups: ClassVar[Mapping[str, ModuleGroup]] = {
        "llm": ModuleGroup("model.language_model", DECODER_LINEARS, EXPERTS),
        "vit": ModuleGroup("model.visual.blocks", ("qkv", "proj", "linear_fc1", "linear_fc2")),
        "projector": ModuleGroup("model.visual.merger", ("linear_fc1", "linear_fc2")),
    }

    def image_token(self, config: Mapping[str, Any]) -> tuple[str, int | None]:
        key, number = super().image_token(config)
        return key, 151655 if number is None else number

    def shapes(self, config: Mapping[str, Any]) -> Shapes:
        text, mixture = _text(config)
        sparse = set(sparse_layers(text)) if mixture else ()

        def mlp(number: int, at: str) -> Shapes:
            if mixture and number in sparse:
                yield from mixture.shapes(at)

        tied = Section(config).get("tie_word_embeddings", bool, False)
        yield from _tower(Section(config, "vision_config", VISION["qwen3_vl"]))
        yield from decoder(text, _LLM, "lm_head.weight", tied, head_norms=True, mlp=mlp)

    def experts(self, config: Mapping[str, Any]) -> tuple[Experts, ...]:
        text, mixture = _text(config)
        layers = sparse_layers(text) if mixture else ()
        places = (f"{_LLM}layers.{number}.mlp." for number in layers)
        return tuple(one for at in places if mixture for one in mixture.experts(at, at))

    def vision(self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> Vision:
        """The smallest unit, one position: `spatial_merge_size` patches squared."""
        vit = Section(config, "vision_config", VISION["qwen3_vl"])
        side = vit.size("patch_size") * vit.size("spatial_merge_size")
        most = Section(preprocessor or {}).size("max_pixels", 16777216) // side**2
        start, end = "<|vision_start|>", "<|vision_end|>"
        return Vision(
            side, 1, 1, max(1, most), False, HALF, HALF, start, "<|image_pad|>", end, "processor"
        )


def _text(config: Mapping[str, Any]) -> tuple[Section, Mixture | None]:
    if _MOE not in (config.get("architectures") or ()):
        return Section(config, "text_config", DECODERS["qwen3_vl_text"]), None
    text = Section(config, "text_config", DECODERS["qwen3_vl_moe_text"])
    return text, Mixture.of(text, stacked=True)


def _tower(vit: Section) -> Shapes:
    width, inner, patch = (
        vit.size("hidden_size"),
        vit.size("intermediate_size"),
        vit.size("patch_size"),
    )
    at = "model.visual."
    shape = (width, vit.size("in_channels"), vit.size("temporal_patch_size"), patch, patch)
    yield f"{at}patch_embed.proj.weight", shape
    yield f"{at}patch_embed.proj.bias", (width,)
    yield f"{at}pos_embed.weight", (vit.size("num_position_embeddings"), width)
    for number in range(vit.size("depth")):
        block = f"{at}blocks.{number}."
        yield from normed(f"{block}norm1", width)
        yield from normed(f"{block}norm2", width)
        yield from linear(f"{block}attn.qkv", 3 * width, width)
        yield from linear(f"{block}attn.proj", width, width)
        yield from linear(f"{block}mlp.linear_fc1", inner, width)
        yield from linear(f"{block}mlp.linear_fc2", width, inner)
    yield from _merger(vit, f"{at}merger.", width)
    taken = vit.values.get("deepstack_visual_indexes")
    if not isinstance(taken, (list, tuple)):
        raise vit.wrong("deepstack_visual_indexes", "is not a list of layers")
    wide = width * vit.size("spatial_merge_size") ** 2
    for number in range(len(taken)):
        yield from _merger(vit, f"{at}deepstack_merger_list.{number}.", wide)


def _merger(vit: Section, at: str, normalised: int) -> Shapes:
    wide = vit.size("hidden_size") * vit.size("spatial_merge_size") ** 2
    yield from normed(f"{at}norm", normalised)
    yield from linear(f"{at}linear_fc1", wide, wide)
    yield from linear(f"{at}linear_fc2", vit.size("out_hidden_size"), wide)
