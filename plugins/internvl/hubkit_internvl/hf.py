"""InternVL in transformers' own layout, as OpenGVLab's `-HF` repositories have it: a base of its
own, into which adapters of the official layout merge too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any, ClassVar

from hubkit.sdk import (
    CardFacts,
    Experts,
    ModuleGroup,
    NativeModel,
    Support,
    TensorMap,
    UsageError,
    Vision,
)
from hubkit.sdk.families import PlainFamily, Section, Shapes
from hubkit.sdk.family import RecognisedModel

from . import card, llm, naming, native, vit
from .family import InternVL, channels
from .parts import Part

_LLMS: Mapping[str, tuple[str, ...]] = {
    "llama": ("LlamaForCausalLM", "InternLM2ForCausalLM"),
    "qwen2": ("Qwen2ForCausalLM",),
    "qwen3": ("Qwen3ForCausalLM",),
    "qwen3_moe": ("Qwen3MoeForCausalLM",),
    "gpt_oss": ("GptOssForCausalLM",),
    "phi3": ("Phi3ForCausalLM",),
}
"""The architectures in the official layout, by model_type here; InternLM2 is Llama here."""
_VISION = {
    **{"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24},
    **{"num_attention_heads": 16, "num_channels": 3, "norm_type": "layer_norm"},
    **{"image_size": [448, 448], "patch_size": [14, 14], "attention_bias": False},
    **{"use_qk_norm": False, "use_mask_token": False, "use_mean_pooling": True},
}
"""Defaults of transformers' InternVLVisionConfig (5.23)."""
_PUBLISHED = (
    ("language_model.model.", "model.language_model."),
    ("language_model.lm_head.", "lm_head."),
    ("vision_tower.", "model.vision_tower."),
    ("multi_modal_projector.", "model.multi_modal_projector."),
)


class InternVLHF(PlainFamily):
    name: ClassVar[str] = "internvl_hf"
    title: ClassVar[str] = "InternVL"
    support: ClassVar[Support] = Support(
        {
            "en": "the same in transformers' own layout (the `-HF` repositories)",
            "zh": "同上，transformers 自己的格式（`-HF` 仓库）",
        },
        trainers=("peft",),
        engines=("transformers",),
        layouts=("hf",),
        proved=("check", "merge", "step"),
    )
    mark: ClassVar[str] = naming.MARK
    architectures: ClassVar[tuple[str, ...]] = native.ARCHITECTURES
    held: ClassVar[tuple[tuple[str, str], ...]] = _PUBLISHED
    spellings: ClassVar[tuple[tuple[str, str], ...]] = _PUBLISHED
    groups: ClassVar[Mapping[str, ModuleGroup]] = {}
    converted: ClassVar[str] = "internvl"
    """The family of the layout that this one was converted from."""

    def describe(self, config: Mapping[str, Any]) -> RecognisedModel:
        found = InternVL().describe(_official(config, 0))
        return replace(found, family=self.name, description=f"{found.description}, -HF layout")

    def shapes(self, config: Mapping[str, Any]) -> Shapes:
        for part in _parts(config, 0):
            for name, rows in part.native:
                height = sum(stop - start for start, stop in rows) or part.shape[0]
                yield _published(name), (height, *part.shape[1:])

    def native(
        self, config: Mapping[str, Any], tokens: Mapping[str, int] | None = None
    ) -> NativeModel:
        made = super().native(config, tokens)
        return replace(made, groups=native.groups(_official(config, 0)))

    def aliases(self, config: Mapping[str, Any]) -> tuple[TensorMap, ...]:
        """The official layout's tensors, in every way that this language model is written there."""
        found = {
            TensorMap(_published(name), part.source, rows): None
            for number in range(len(_architectures(config)))
            for part in _parts(config, number)
            for name, rows in part.native
            if _published(name) != part.source
        }
        return tuple(found)

    def experts(self, config: Mapping[str, Any]) -> tuple[Experts, ...]:
        return tuple(
            replace(one, sources=tuple(tuple(map(_published, names)) for names in one.sources))
            for one in llm.experts(_official(config, 0))
        )

    def vision(self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> Vision:
        """transformers' processor always adds the thumbnail, and makes tiles whatever
        preprocessor_config.json says of crop_to_patches."""
        usual = InternVL().vision(_official(config, 0), None)
        own = Section(preprocessor or {})
        least, most = own.size("min_patches", 1), own.size("max_patches", 12)
        return replace(
            usual,
            min_tiles=least,
            max_tiles=most,
            thumbnail=True,
            mean=channels(preprocessor, "image_mean", usual.mean),
            std=channels(preprocessor, "image_std", usual.std),
        )

    def repository_problem(self, repository: str) -> str | None:
        return naming.repository_problem(repository)

    def card(self, config: Mapping[str, Any]) -> CardFacts:
        tags = ("internvl", "vision-language")
        return replace(super().card(config), tags=tags, citation=card.PAPER)


def _published(held: str) -> str:
    return next(
        (new + held.removeprefix(old) for new, old in _PUBLISHED if held.startswith(old)), held
    )


def _parts(config: Mapping[str, Any], number: int) -> Iterator[Part]:
    official = _official(config, number)
    return chain(vit.parts(official), llm.parts(official), vit.projector_parts(official))


def _architectures(config: Mapping[str, Any]) -> tuple[str, ...]:
    text = Section(config, "text_config")
    kind = text.get("model_type", str, "qwen2")
    if kind not in _LLMS:
        raise text.wrong("model_type", f"is {kind!r}; known are {', '.join(_LLMS)}")
    return _LLMS[kind]


def _official(config: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The same sizes under the official layout's names. The output head is tied by the outermost
    `tie_word_embeddings`, true where it is left out."""
    top, tower = Section(config), Section(config, "vision_config", _VISION)
    for key, wanted in (("use_mask_token", False), ("use_mean_pooling", True)):
        if tower.get(key, bool) is not wanted:
            raise UsageError(
                f"config.json: vision_config.{key} must be {str(wanted).lower()}",
                "no published InternVL has another; take the model's own config.json",
            )
    text = Section(config, "text_config").values
    return {
        "architectures": ["InternVLChatModel"],
        "downsample_ratio": top.get("downsample_ratio", float, 0.5),
        "ps_version": "v2",
        "llm_config": {
            **text,
            "architectures": [_architectures(config)[number]],
            "bias": text.get("attention_bias", False),
            "tie_word_embeddings": top.get("tie_word_embeddings", bool, True),
        },
        "vision_config": {
            **tower.values,
            "qkv_bias": tower.get("attention_bias", bool),
            "qk_normalization": tower.get("use_qk_norm", bool),
        },
    }
