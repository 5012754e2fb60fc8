"""What the parameters in a NExT-GPT checkpoint are, by their names, and which of them each stage
may train.

Legacy code: `llama_proj`, `gen_text_hidden_fcs`, `gen_text_hidden_fcs_video`,
`gen_text_hidden_fcs_audio`; current code: `mm_input_projector`,
`mm_output_{img,vid,aud}_projector`. Source: github.com/NExT-GPT/NExT-GPT.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

GROUPS: Mapping[str, str] = {
    "LoRA": r"\.lora_(A|B)\.",
    "input projection": r"(^|\.)(llama_proj|mm_input_projector)\.",
    "image output projection": r"(^|\.)(gen_text_hidden_fcs|mm_output_img_projector)\.",
    "video output projection": r"(^|\.)(gen_text_hidden_fcs_video|mm_output_vid_projector)\.",
    "audio output projection": r"(^|\.)(gen_text_hidden_fcs_audio|mm_output_aud_projector)\.",
    "embeddings": r"(^|\.)(embed_tokens|lm_head)\.weight$",
}
OTHER = "no part of NExT-GPT's delta"
EMBEDDINGS = "embeddings"

INPUT = ("input projection",)
OUTPUTS = ("image output projection", "video output projection", "audio output projection")
OWN: Mapping[int, tuple[str, ...]] = {1: INPUT, 2: OUTPUTS, 3: ("LoRA", *INPUT, *OUTPUTS)}
"""Stage to the groups that it is for. The embeddings train beside them: the legacy code resizes
them after it froze the rest, and transformers 4.29 makes new, trainable ones then
(github.com/NExT-GPT/NExT-GPT/issues/40); the current code asks for it."""

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Legacy code: the first four. Current code: every linear of the language model but lm_head."""
_LORA = re.compile(r"(?P<module>.*\.(?P<target>[^.]+))\.lora_(?P<part>[AB])\.(?:[^.]+\.)?weight")


def group(name: str) -> str:
    """The group of a parameter, or OTHER. A LoRA on any module but TARGETS is OTHER."""
    for title, pattern in GROUPS.items():
        if re.search(pattern, name):
            return OTHER if title == "LoRA" and lora(name) is None else title
    return OTHER


def lora(name: str) -> tuple[str, str] | None:
    """(module, "A" or "B") of a LoRA's weight."""
    match = _LORA.fullmatch(name)
    return (match["module"], match["part"]) if match and match["target"] in TARGETS else None


def plain(name: str) -> str:
    """The same name whether peft wraps the language model or not: the first two stages have it
    bare."""
    return re.sub(r"(^|\.)base_model\.model\.", r"\1", name)


def in_base(name: str) -> str:
    """The name that embeddings have in the base language model: `model.embed_tokens.weight` or
    `lm_head.weight`."""
    return "lm_head.weight" if name.endswith("lm_head.weight") else "model.embed_tokens.weight"
