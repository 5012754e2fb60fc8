"""MiniGPT-4 with Vicuna as a model that transformers loads: BLIP-2's class with Llama inside.

Its authors publish the projection alone. `hubkit assemble VICUNA BLIP2 BASE --family minigpt4` puts
the parts together, and `hubkit merge BASE pretrained_minigpt4.pth OUT` the projection into them.
Facts are those of Vision-CAIR/MiniGPT-4 at d94738a (minigpt4/models/minigpt4.py,
conversation/conversation.py, eval_configs/minigpt4_eval.yaml).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from hubkit.sdk import CardFacts, Support, TensorMap, UsageError
from hubkit.sdk.assembly import Assembly, Taken
from hubkit.sdk.families import Section

from . import seeing, templates
from .family import MEAN, STD, Blip2

IMAGE_TOKEN = "<image>"
_LLM, _PROJECTION = "language_model.", "language_projection."
_LEFT_OUT = ("auto_map", "transformers_version", "_name_or_path", "torch_dtype", "dtype")
_TABLES = ("model.embed_tokens.weight", "lm_head.weight")


class MiniGPT4(Blip2):
    name: ClassVar[str] = "minigpt4"
    title: ClassVar[str] = "MiniGPT-4"
    support: ClassVar[Support] = Support(
        {
            "en": "MiniGPT-4 with Vicuna, assembled from its parts",
            "zh": "MiniGPT-4（Vicuna），由各部分组装",
        },
        trainers=("peft",),
        engines=("transformers",),
        layouts=("hf",),
        proved=("check", "merge", "step"),
    )
    mark: ClassVar[str] = "MiniGPT"
    llama: ClassVar[bool] = True
    image_token_text: ClassVar[str] = IMAGE_TOKEN

    def chat_template(self, config: Mapping[str, Any]) -> str:
        return templates.minigpt4(IMAGE_TOKEN, Section(config).size("num_query_tokens", 32))

    def positions(self, config: Mapping[str, Any]) -> None:
        """The template writes a picture's positions out, in their place."""
        return None

    def aliases(self, config: Mapping[str, Any]) -> tuple[TensorMap, ...]:
        """The projection's own name in MiniGPT-4's checkpoints."""
        return tuple(
            TensorMap(f"{_PROJECTION}{kind}", f"llama_proj.{kind}") for kind in ("weight", "bias")
        )

    def assemble(
        self, llm: Mapping[str, Any], vision: Mapping[str, Any], image_token: int
    ) -> Assembly:
        """`vision` is the config.json of the BLIP-2 that the Q-Former is taken from."""
        _check_parts(llm, vision)
        rows = Section(llm).size("vocab_size")
        text = {key: value for key, value in llm.items() if key not in _LEFT_OUT}
        text |= {"model_type": "llama", "vocab_size": max(rows, image_token + 1)}
        config = {
            "architectures": list(self.architectures),
            **{"model_type": "blip-2", "image_token_index": image_token},
            "num_query_tokens": Section(vision).size("num_query_tokens", 32),
            **{key: dict(vision[key]) for key in ("qformer_config", "vision_config")},
            "text_config": text,
        }
        tensors: dict[str, tuple[Taken, ...]] = {}
        fresh: dict[str, tuple[int, ...]] = {}
        for name, shape in self.layout(config).items():
            own = name.removeprefix(_LLM)
            if name.startswith(_PROJECTION):
                fresh[name] = shape
            elif own == name:
                tensors[name] = (Taken("vision", name),)
            else:
                more = shape[0] - rows if own in _TABLES else 0
                tensors[name] = (Taken("llm", own), *[Taken("llm", own, ((0, 1),))] * more)
        return Assembly(
            config,
            tensors,
            fresh,
            _files(Section(config, "vision_config", seeing.VIT).size("image_size")),
            {"processor_class": "Blip2Processor"},
            "",
            self.chat_template(config),
            own_template=True,
            stops=templates.HASHES,
        )

    def card(self, config: Mapping[str, Any]) -> CardFacts:
        return replace(super().card(config), limits=(_LICENCES,), limits_in={"zh": (_LICENCES_ZH,)})


_LICENCES = (
    "The parts have licences of their own: MiniGPT-4's projection and code are under BSD-3-Clause, "
    "BLIP-2's vision transformer and Q-Former are published under MIT, and Vicuna v0 is derived "
    "from LLaMA, whose licence allows research alone."
)
_LICENCES_ZH = (
    "各部分许可证不同：MiniGPT-4 的投影层与代码为 BSD-3-Clause，"
    "BLIP-2 的视觉编码器与 Q-Former 以 MIT 发布，Vicuna v0 源自 LLaMA，其许可证仅允许研究用途。"
)


def _check_parts(llm: Mapping[str, Any], vision: Mapping[str, Any]) -> None:
    if llm.get("architectures") != ["LlamaForCausalLM"]:
        raise UsageError(
            f"config.json of the language model: architectures is {llm.get('architectures')!r}; "
            "MiniGPT-4 is made with LlamaForCausalLM",
            "give the folder of Vicuna v0, 7B or 13B, whose projection you have",
        )
    text = vision.get("text_config")
    kind = text.get("model_type") if isinstance(text, Mapping) else None
    size = text.get("d_model") if isinstance(text, Mapping) else None
    real = Section(vision, "vision_config", seeing.VIT).size("hidden_size") == 1408
    if kind != "t5" or (real and size != 4096):
        raise UsageError(
            f"config.json of BLIP-2: its language model is {kind!r} of width {size}; MiniGPT-4's "
            "projection was trained on the Q-Former of BLIP-2 with Flan-T5 XXL",
            "give the folder of blip2-flan-t5-xxl",
        )


def _files(side: int) -> dict[str, Mapping[str, Any]]:
    image = {
        "image_processor_type": "BlipImageProcessor",
        "processor_class": "Blip2Processor",
        **{"do_resize": True, "size": {"height": side, "width": side}, "resample": 3},
        **{"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True},
        **{"do_convert_rgb": True, "image_mean": list(MEAN), "image_std": list(STD)},
    }
    return {
        "preprocessor_config.json": image,
        "processor_config.json": {"processor_class": "Blip2Processor"},
    }
