"""InstructBLIP: BLIP-2 whose Q-Former reads the question, too, with a tokenizer of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hubkit.sdk import Companions, Support
from hubkit.sdk.families import PlainFamily

from . import templates
from .family import Blip2

OWN = "qformer_tokenizer"


class InstructBlip(Blip2):
    name: ClassVar[str] = "instructblip"
    title: ClassVar[str] = "InstructBLIP"
    support: ClassVar[Support] = Support(
        {"en": "InstructBLIP with Vicuna or Flan-T5", "zh": "InstructBLIP（Vicuna 或 Flan-T5）"},
        trainers=("peft",),
        engines=("transformers",),
        layouts=("hf",),
        proved=("check", "merge", "step"),
    )
    architectures: ClassVar[tuple[str, ...]] = ("InstructBlipForConditionalGeneration",)
    reads: ClassVar[bool] = True
    asked: ClassVar[str] = templates.PLAIN

    def recognises(self, config: Mapping[str, Any]) -> bool:
        return PlainFamily.recognises(self, config)

    def companions(self, config: Mapping[str, Any]) -> Companions:
        """The Q-Former's tokenizer lies in a folder of its own."""
        usual = super().companions(config)
        needed = (f"{OWN}/tokenizer.json", f"{OWN}/tokenizer_config.json")
        more = (f"{OWN}/special_tokens_map.json", f"{OWN}/vocab.txt")
        return Companions((*usual.required, *needed), (*usual.optional, *more))
