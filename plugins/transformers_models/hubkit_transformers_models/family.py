"""Every model that transformers has a class for pictures and text for, and no other family
knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from hubkit.sdk import (
    CardFacts,
    Companions,
    Experts,
    ModuleGroup,
    NativeModel,
    RecognisedModel,
    Requirements,
    Run,
    Support,
    TensorMap,
    UsageError,
    Vision,
    token_ids,
)
from hubkit.sdk.families import PlainFamily, Section, Shapes
from hubkit.sdk.families.sizes import check_sizes
from hubkit.sdk.outline import Outline, OutlineInput

_TIED = "tie_word_embeddings"
_BESIDE = re.compile(
    r"(?!adapter)\w*(config|processor|tokenizer|tokens?_map|tokens|template|vocab|merges)\w*"
    r"\.(json|jinja|model|txt)"
)
_HALF = (0.5, 0.5, 0.5)


class TransformersFamily(PlainFamily):
    """It knows no model by itself: `outline` asks transformers, and `outlined` has the answer."""

    name: ClassVar[str] = "transformers_models"
    sdk: ClassVar[str] = "1.5"
    title: ClassVar[str] = "transformers"
    support: ClassVar[Support] = Support(
        {
            "en": "every other model of transformers for pictures and text (tried: Gemma 3, "
            "SmolVLM, Qwen3.5 dense and MoE), unless loading turns or cuts its tensors",
            "zh": "transformers 的其他一切图文模型（试过 Gemma 3、SmolVLM、Qwen3.5 稠密与 MoE），"
            "加载时转置或切分张量的除外",
        },
        trainers=("peft",),
        engines=("transformers",),
        layouts=("hf",),
        proved=("check", "merge", "step", "release"),
    )
    mark: ClassVar[str] = ""
    architectures: ClassVar[tuple[str, ...]] = ()
    held: ClassVar[tuple[tuple[str, str], ...]] = ()
    groups: ClassVar[Mapping[str, ModuleGroup]] = {}
    fallback: ClassVar[bool] = True
    requirements: ClassVar[Requirements] = Requirements(
        (("torch", "2.4"), ("transformers", "5.23")), "transformers"
    )

    def recognises(self, config: Mapping[str, Any]) -> bool:
        """What has a model_type, an architecture and settings of a part that sees."""
        names, kind = config.get("architectures"), config.get("model_type")
        sees = any("vi" in key and isinstance(value, Mapping) for key, value in config.items())
        named = isinstance(names, list) and all(isinstance(name, str) for name in names)
        return isinstance(kind, str) and named and sees

    def outline(self, job: OutlineInput, run: Run) -> Outline:
        from .outlining import outline

        check_sizes(job.config)
        return outline(job.config, job.names, job.shapes)

    def outlined(self, outline: Outline, folder: Path, config: Mapping[str, Any]) -> Outlined:
        return Outlined(outline, folder, config)

    def shapes(self, config: Mapping[str, Any]) -> Shapes:
        raise self._unasked()

    def vision(self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> Vision:
        raise self._unasked()

    def _unasked(self) -> UsageError:
        return UsageError(
            "config.json: what this model is made of has to be asked of transformers",
            "name the folder of the model",
        )


class Outlined(TransformersFamily):
    """The family of one model."""

    def __init__(self, outline: Outline, folder: Path, config: Mapping[str, Any]) -> None:
        self._outline, self._config = outline, _essence(config)
        self._ties = _ties(config)
        texts = {number: text for text, number in token_ids(folder).items()}
        self._token = texts.get(-1 if (own := outline.image_token_id) is None else own, "")
        self._beside = sorted(p.name for p in folder.iterdir() if _BESIDE.fullmatch(p.name))

    def recognises(self, config: Mapping[str, Any]) -> bool:
        """This model's own config.json, and the same with an untied output head."""
        return _essence(config) == self._config

    def describe(self, config: Mapping[str, Any]) -> RecognisedModel:
        found, own = super().describe(config), self._outline.architecture
        return replace(found, description=found.description.replace(self.title, own, 1))

    def shapes(self, config: Mapping[str, Any]) -> Shapes:
        if not self.recognises(config):
            raise UsageError(
                f"config.json is not that of the {self._outline.architecture} in hand",
                "name the folder that it belongs to",
            )
        yield from ((tensor.name, tensor.shape) for tensor in self._outline.tensors)
        head = self._outline.head
        if head is not None and _ties(config) != self._ties and config.get(_TIED) is False:
            yield head.name, head.shape

    def native(
        self, config: Mapping[str, Any], tokens: Mapping[str, int] | None = None
    ) -> NativeModel:
        known = self._outline.tensors
        held = {one.name: one.held for one in (*known, self._outline.head) if one is not None}
        return NativeModel(
            config=self.native_config(config),
            tensors=tuple(TensorMap(held[name], name) for name in self.layout(config)),
            groups=self._outline.groups,
        )

    def experts(self, config: Mapping[str, Any]) -> tuple[Experts, ...]:
        return self._outline.experts

    def image_token(self, config: Mapping[str, Any]) -> tuple[str, int | None]:
        return super().image_token(config)[0], self._outline.image_token_id

    def vision(self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> Vision:
        """The processor alone knows how a picture is arranged; the tile and its colours are for
        people."""
        if not self._token:
            raise UsageError(
                f"config.json names no image token of the tokenizer (image_token_id is "
                f"{self._outline.image_token_id}): {self._outline.architecture} is merged, checked "
                "and published, but not trained or asked",
                "take config.json and the tokenizer's files from one model",
            )
        sees = config.get("vision_config")
        size = Section(sees if isinstance(sees, Mapping) else {}).values.get("image_size")
        return Vision(
            tile=size if isinstance(size, int) and size > 0 else 1,
            tokens_per_tile=1,
            min_tiles=1,
            max_tiles=1,
            thumbnail=False,
            mean=_HALF,
            std=_HALF,
            start="",
            context=self._token,
            end="",
            fit="processor",
        )

    def companions(self, config: Mapping[str, Any]) -> Companions:
        """What a folder must have, and whatever this one has."""
        usual = super().companions(config)
        known = {name for need in usual.required for name in need.split("|")} | set(usual.optional)
        more = tuple(name for name in self._beside if name not in known)
        return Companions(usual.required, (*usual.optional, *more))

    def card(self, config: Mapping[str, Any]) -> CardFacts:
        usual = super().card(config)
        return CardFacts(
            usual.library_name,
            usual.pipeline_tag,
            ("vision-language",),
            {name: text for name, text in usual.usage.items() if name == "Transformers"},
            limits=(
                f"hubkit has no tables for {self._outline.architecture}: names and shapes of its "
                "tensors were taken from transformers' own class, and nothing more is known of it.",
            ),
            limits_in={
                "zh": (
                    f"hubkit 没有 {self._outline.architecture} 的专用表：张量的名称与形状取自 "
                    "transformers 自己的模型类，除此之外未作检查。",
                )
            },
        )


def _essence(config: Mapping[str, Any]) -> dict[str, Any]:
    """All but what says whether the output head is tied, and where the model came from."""
    return {
        key: _essence(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in (_TIED, "_name_or_path")
    }


def _ties(config: Mapping[str, Any]) -> dict[str, Any]:
    sections = {key: value for key, value in config.items() if isinstance(value, Mapping)}
    return {"": config.get(_TIED)} | {key: value.get(_TIED) for key, value in sections.items()}
