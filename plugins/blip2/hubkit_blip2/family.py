"""BLIP-2: EVA's vision transformer, a Q-Former of learnt queries, a projection, and a language
model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from hubkit.sdk import (
    CardFacts,
    Companions,
    ModuleGroup,
    NativeModel,
    Problem,
    RecognisedModel,
    Support,
    Vision,
)
from hubkit.sdk.families import PlainFamily, Section, Shapes, linear
from hubkit.sdk.families.soundness import json_object

from . import language, seeing, templates

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_NO_TEMPLATE = "chat_template"
_USAGE = """```python
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

processor = AutoProcessor.from_pretrained("{repository}")
model = AutoModelForImageTextToText.from_pretrained("{repository}", dtype="auto").eval()
content = [{"type": "image"}, {"type": "text", "text": "What is in this picture?"}]
talk = [{"role": "user", "content": content}]
text = processor.tokenizer.apply_chat_template(talk, tokenize=False)
picture = Image.open("picture.png").convert("RGB")
given = processor(images=picture, text=text, return_tensors="pt"OPTIONS)
with torch.inference_mode():
    ids = model.generate(**given, max_new_tokens=64)
if not model.language_model.config.is_encoder_decoder:
    ids = ids[:, given["input_ids"].shape[1] :]
print(processor.batch_decode(ids, skip_special_tokens=True)[0].strip())
```"""


class Blip2(PlainFamily):
    name: ClassVar[str] = "blip2"
    sdk: ClassVar[str] = "1.5"
    title: ClassVar[str] = "BLIP-2"
    support: ClassVar[Support] = Support(
        {"en": "BLIP-2 with OPT or Flan-T5", "zh": "BLIP-2（OPT 或 Flan-T5）"},
        trainers=("peft",),
        engines=("transformers",),
        layouts=("hf",),
        proved=("check", "merge", "step", "release"),
    )
    mark: ClassVar[str] = "BLIP"
    architectures: ClassVar[tuple[str, ...]] = ("Blip2ForConditionalGeneration",)
    held: ClassVar[tuple[tuple[str, str], ...]] = ()
    groups: ClassVar[Mapping[str, ModuleGroup]] = {
        "vit": ModuleGroup("vision_model", seeing.VIT_LINEARS),
        "qformer": ModuleGroup("qformer", seeing.QFORMER_LINEARS),
        "projector": ModuleGroup("language_projection", ("language_projection",)),
    }
    reads: ClassVar[bool] = False
    llama: ClassVar[bool] = False
    """Whether this class with Llama inside is meant: it is MiniGPT-4 then."""
    asked: ClassVar[str] = templates.QUESTION

    def shapes(self, config: Mapping[str, Any]) -> Shapes:
        yield from seeing.tower(config)
        yield from seeing.qformer(config, self.reads)
        hidden = Section(config, "qformer_config", seeing.QFORMER).size("hidden_size")
        yield from linear("language_projection", language.width(config), hidden)
        yield from language.shapes(config)

    def recognises(self, config: Mapping[str, Any]) -> bool:
        text = config.get("text_config")
        kind = text.get("model_type") if isinstance(text, Mapping) else None
        return super().recognises(config) and (kind == "llama") is self.llama

    def copies(self, config: Mapping[str, Any]) -> Mapping[str, str]:
        return language.copies(config)

    def native(
        self, config: Mapping[str, Any], tokens: Mapping[str, int] | None = None
    ) -> NativeModel:
        own = ModuleGroup("language_model", language.linears(config))
        native = super().native(config, tokens)
        return replace(native, groups={"llm": own, **self.groups})

    def describe(self, config: Mapping[str, Any]) -> RecognisedModel:
        found, (name, _) = super().describe(config), language.kind_of(config)
        inner = f"{self.title} ({language.KINDS[name].title}, "
        return replace(found, description=found.description.replace(f"{self.title} (", inner, 1))

    def chat_template(self, config: Mapping[str, Any]) -> str:
        """For a folder that has none, as the published ones."""
        name, text = language.kind_of(config)
        line = name == "opt" and text.get("eos_token_id", int) != language.OPT["eos_token_id"]
        return templates.template(self.asked, templates.LINE if line else templates.END)

    def vision(self, config: Mapping[str, Any], preprocessor: Mapping[str, Any] | None) -> Vision:
        """One picture, whole, in as many positions as there are queries."""
        side = Section(config, "vision_config", seeing.VIT).size("image_size")
        count = Section(config).size("num_query_tokens", 32)
        return Vision(side, count, 1, 1, False, MEAN, STD, "", "<image>", "", "processor")

    def check(self, folder: Path, config: Mapping[str, Any]) -> tuple[Problem, ...]:
        usual = super().check(folder, config)
        found = tuple(one for one in usual if one.where != _NO_TEMPLATE)
        return (*found, *self._processor_problems(folder, config))

    def _processor_problems(self, folder: Path, config: Mapping[str, Any]) -> Iterator[Problem]:
        key = "num_query_tokens"
        wanted = self.positions(config)
        found = json_object(folder / "processor_config.json").get(key)
        if found != wanted:
            yield Problem(
                f"processor_config.json: {key}",
                f"is {found!r}, this model needs {wanted!r}: the processor would leave no room for "
                "the picture, or leave it in a place that the model was not trained with",
                f"set {key} to {json.dumps(wanted)} there, or take the newest files of the base's "
                "repository",
            )

    def positions(self, config: Mapping[str, Any]) -> int | None:
        """What the processor is to put before a text."""
        return Section(config).size("num_query_tokens", 32)

    def companions(self, config: Mapping[str, Any]) -> Companions:
        usual = super().companions(config)
        required = tuple(
            "preprocessor_config.json" if need.startswith("preprocessor_config") else need
            for need in usual.required
        )
        return Companions((*required, "processor_config.json"), usual.optional)

    def card(self, config: Mapping[str, Any]) -> CardFacts:
        usual = super().card(config)
        options = ", add_special_tokens=False" if self.positions(config) is None else ""
        return replace(usual, usage={"Transformers": _USAGE.replace("OPTIONS", options)})
