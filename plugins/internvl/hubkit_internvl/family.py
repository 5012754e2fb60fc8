"""InternVL as hubkit sees it; the knowledge itself is in the modules beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any, ClassVar

from hubkit.sdk import (
    CardFacts,
    Companions,
    Experts,
    NativeModel,
    Problem,
    RecognisedModel,
    Support,
    UsageError,
    Vision,
)

from . import card, checks, companions, llm, naming, native, processor, vit
from .parts import Part
from .settings import Settings

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's, per channel."""


class InternVL:
    kind: ClassVar[str] = "family"
    name: ClassVar[str] = "internvl"
    sdk: ClassVar[str] = "1.0"
    support: ClassVar[Support] = Support(
        {
            "en": "InternVL2 in every size; 2.5, 3 and 3.5 (dense and MoE) where they keep its "
            "layout",
            "zh": "各种大小的 InternVL2；格式相同的 2.5、3 与 3.5（稠密与 MoE）",
        },
        trainers=("peft", "xtuner"),
        engines=("transformers", "lmdeploy"),
        layouts=("official", "hf"),
        proved=("check", "merge", "step", "release", "gpu"),
    )

    def recognises(self, config: Mapping[str, Any]) -> bool:
        architectures = config.get("architectures")
        return isinstance(architectures, list) and "InternVLChatModel" in architectures

    def describe(self, config: Mapping[str, Any]) -> RecognisedModel:
        sizes = {part.source: prod(part.shape) for part in self._parts(config)}
        total = sum(sizes.values())
        tower = _tower(
            sum(size for name, size in sizes.items() if name.startswith("vision_model."))
        )
        template = str(config.get("template", ""))
        language = llm.kind_of(config).title
        series = "InternVL2.5/3" if template == "internvl2_5" else "InternVL2"
        series = "InternVL3.5" if language in ("Qwen3", "Qwen3-MoE", "GPT-OSS") else series
        return RecognisedModel(
            family=self.name,
            description=f"{series} ({tower} + {language}, {_short(total)} parameters)",
            parameters=total,
            details={"vision": tower, "language": language, "template": template},
        )

    def layout(self, config: Mapping[str, Any]) -> Mapping[str, tuple[int, ...]]:
        return {part.source: part.shape for part in self._parts(config)}

    def native(
        self, config: Mapping[str, Any], tokens: Mapping[str, int] | None = None
    ) -> NativeModel:
        vision = self.vision(config, None)
        return NativeModel(
            config=native.config(config, vision, tokens),
            tensors=tuple(chain.from_iterable(part.maps() for part in self._parts(config))),
            groups=native.groups(config),
            files=processor.files(vision),
            tokenizer=processor.tokenizer(vision, tokens),
            chat_prelude=processor.chat_prelude(vision),
            notes=processor.notes(vision),
        )

    def experts(self, config: Mapping[str, Any]) -> tuple[Experts, ...]:
        return tuple(llm.experts(config))

    def vision(self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> Vision:
        top, tower = Settings(config), Settings(config, "vision_config")
        tile, patch = (
            top.size("force_image_size", tower.square("image_size")),
            tower.square("patch_size"),
        )
        side, rest = divmod(tile, patch * vit.shrink(config))
        if rest:
            raise top.wrong(
                "force_image_size", f"({tile}) must be a multiple of {patch * vit.shrink(config)}"
            )
        dynamic = top.get("dynamic_image_size", bool, False)
        return Vision(
            tile=tile,
            tokens_per_tile=side**2,
            min_tiles=top.size("min_dynamic_patch", 1) if dynamic else 1,
            max_tiles=top.size("max_dynamic_patch", 6) if dynamic else 1,
            thumbnail=dynamic and top.get("use_thumbnail", bool, False),
            mean=channels(preprocessor, "image_mean", MEAN),
            std=channels(preprocessor, "image_std", STD),
        )

    def companions(self, config: Mapping[str, Any]) -> Companions:
        return companions.companions(config)

    def check(self, folder: Path, config: Mapping[str, Any]) -> tuple[Problem, ...]:
        return checks.check(folder, config)

    def repository_problem(self, repository: str) -> str | None:
        return naming.repository_problem(repository)

    def card(self, config: Mapping[str, Any]) -> CardFacts:
        return card.card(self.vision(config, None))

    def _parts(self, config: Mapping[str, Any]) -> Iterator[Part]:
        return chain(vit.parts(config), llm.parts(config), vit.projector_parts(config))


def channels(
    preprocessor: Mapping[str, Any] | None, key: str, usual: tuple[float, float, float]
) -> tuple[float, float, float]:
    values = (preprocessor or {}).get(key)
    if values is None:
        return usual
    if (
        not isinstance(values, list)
        or len(values) != 3
        or not all(isinstance(value, (int, float)) for value in values)
    ):
        raise UsageError(
            f"preprocessor_config.json: {key} must be three numbers, not {values!r}",
            "copy the file from the base model",
        )
    red, green, blue = map(float, values)
    return red, green, blue


def _tower(parameters: int) -> str:
    """OpenGVLab's names for its two towers: 304 M and 5.5 B parameters."""
    named = {304_012_288: "InternViT-300M", 5_536_496_000: "InternViT-6B"}
    return named.get(parameters, f"InternViT of {_short(parameters)}")


def _short(count: int) -> str:
    """`2.2 B`, `304 M`, `1.34 M`."""
    if count >= 999_500_000:
        return f"{count / 1e9:.1f} B"
    return f"{count / 1e6:.0f} M" if count >= 9_950_000 else f"{count / 1e6:.2f} M"
