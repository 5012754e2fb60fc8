"""Numbers and shapes that no model's config.json has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from case import CHECK, MERGE, Case, base, both, config

KIND = "numbers of a config"

_SIZES: dict[str, Any] = {
    "llm_config__num_hidden_layers": [10**5, 10**9, 10**30, -1, 0, 1e300, "4", [4], None, True],
    "vision_config__num_hidden_layers": [10**5, 10**9],
    "llm_config__hidden_size": [10**12, {}, 0],
    "llm_config__num_attention_heads": [10**9, 0],
    "llm_config__num_key_value_heads": [3, 10**9],
    "llm_config__vocab_size": [10**12, "415"],
    "llm_config__intermediate_size": [10**15],
    "vision_config__image_size": [10**9, [56, 57], "56"],
    "vision_config__patch_size": [0, 10**9, [[]]],
    "downsample_ratio": [1e-310, -0.5, 0, 0.3, 1e-9, "0.5", [0.5]],
    "max_dynamic_patch": [10**9, 10**30, "4", [4]],
    "min_dynamic_patch": [10**9],
    "force_image_size": [10**9, 1.5],
    "llm_config": [[], 3, None, "x"],
    "vision_config": [[], [1, 2], True],
    "llm_config__architectures": [[], {}, 3, [[]], "InternLM2ForCausalLM"],
    "architectures": [{}, [3], "InternVLChatModel"],
}


def _with(changes: dict[str, Any]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        both(folder)
        (folder / "base" / "config.json").write_text(config(**changes))

    return make


def _file(name: str, data: Any) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        base(folder)
        (folder / "base" / name).write_text(json.dumps(data))

    return make


_CLIP = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "image_size": 28}
_LLAMA = {**_CLIP, "num_attention_heads": 2, "vocab_size": 10, "model_type": "llama"}
_PLAIN = {
    "LlavaForConditionalGeneration": {"text_config": _LLAMA, "vision_config": _CLIP},
    "LlavaNextForConditionalGeneration": {"text_config": _LLAMA, "vision_config": _CLIP},
    "Qwen2VLForConditionalGeneration": {**_LLAMA, "vision_config": {"depth": 1, "embed_dim": 8}},
    "Qwen2_5_VLForConditionalGeneration": {**_LLAMA, "vision_config": {"depth": 1}},
    "NextGPTDelta": {"tensors": {"a": [1]}},
}
_TWISTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "10^9 layers": lambda c: (c.get("text_config", c)).update(num_hidden_layers=10**9),
    "10^9 deep": lambda c: c.get("vision_config", c).update(depth=10**9, num_hidden_layers=10**9),
    "lists": lambda c: c.update(text_config=[], vision_config=[], tensors=[]),
    "texts": lambda c: c.update(text_config="x", vision_config="x", tensors="x"),
    "a patch of 10^12": lambda c: c.get("vision_config", c).update(
        patch_size=10**12, hidden_size=10**12, tensors={"a": [10**30] * 90}
    ),
}


def _plain(name: str, twist: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    data = json.loads(json.dumps({"architectures": [name], **_PLAIN[name]}))
    twist(data)
    return _file("config.json", data)


_OTHER = {
    "generation_config.json": [
        [],
        {"eos_token_id": [[]]},
        {"eos_token_id": 10**30},
        {"eos_token_id": {}},
    ],
    "tokenizer_config.json": [
        [],
        {"added_tokens_decoder": []},
        {"added_tokens_decoder": {"x": {}}},
        {"added_tokens_decoder": {"1": []}, "chat_template": "x"},
        {"chat_template": 3, "added_tokens_decoder": {"9" * 5000: {"content": "x"}}},
    ],
    "tokenizer.json": [[], {"added_tokens": {"a": 1}}, {"added_tokens": [3]}, {"added_tokens": 3}],
    "special_tokens_map.json": ["x_file"],
}
CASES = [
    *(
        Case(f"{key.replace('__', '.')}: {str(value)[:20]}", MERGE, _with({key: value}))
        for key, values in _SIZES.items()
        for value in values
    ),
    *(
        Case(f"{name}: {twist}", CHECK, _plain(name, change), exits=2 if "1" in twist else 3)
        for name in _PLAIN
        for twist, change in _TWISTS.items()
        if (name, twist) != ("NextGPTDelta", "10^9 layers")
        and (name, twist) != ("NextGPTDelta", "10^9 deep")
    ),
    *(
        Case(f"{name}: {str(data)[:40]}", CHECK, _file(name, data), exits=3)
        for name, values in _OTHER.items()
        for data in values
        if data != "x_file"
    ),
]
