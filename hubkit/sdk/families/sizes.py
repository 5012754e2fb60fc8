"""Ceilings for the sizes in config.json: room for the models of the next years, and none for a
number that would fill the memory before anything is compared.

Each is the largest value of a published model, times a margin of 8 or more, rounded up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import UsageError
from ..excerpt import shown

CEILINGS: Mapping[str, int] = {
    # 126 layers, width 16384, 53248 within, 128 heads: meta-llama/Llama-3.1-405B
    **dict.fromkeys(("num_hidden_layers", "num_layers", "n_layer", "depth"), 1024),
    **dict.fromkeys(("hidden_size", "embed_dim", "out_hidden_size", "d_model"), 1 << 17),
    "intermediate_size": 1 << 19,
    **dict.fromkeys(("num_attention_heads", "num_key_value_heads", "num_heads"), 1024),
    **dict.fromkeys(("num_experts", "num_local_experts"), 1 << 12),  # 512: Qwen3-Next-80B-A3B
    "moe_intermediate_size": 1 << 16,  # 1536: Qwen/Qwen3-VL-235B-A22B-Instruct
    "head_dim": 1 << 13,  # 512: google/gemma-3n-E4B-it
    "vocab_size": 1 << 21,  # 262,208: google/gemma-3-27b-it
    **dict.fromkeys(("image_size", "force_image_size"), 1 << 13),  # 896: google/gemma-3-27b-it
    "patch_size": 256,  # 32: openai/clip-vit-base-patch32
    **dict.fromkeys(("num_channels", "in_channels"), 32),  # 3 everywhere
    **dict.fromkeys(("temporal_patch_size", "spatial_merge_size"), 32),  # 2: Qwen/Qwen2-VL-72B
    # 12 at training, 40 in OpenGVLab's evaluation of high resolutions; grids are tried in pairs
    **dict.fromkeys(("min_dynamic_patch", "max_dynamic_patch"), 320),
    "use_llm_lora": 1 << 13,  # ranks: 1,024 is what people try
    "use_backbone_lora": 1 << 13,
}
RATIOS: Mapping[str, tuple[float, float]] = {
    "downsample_ratio": (1 / 16, 1),  # 0.5: OpenGVLab's
    "mlp_ratio": (1 / 16, 64),  # 4: Qwen/Qwen2-VL-72B
}
"""The smallest and the largest."""

OTHERS = (1 << 31) - 1
"""For a size that is not in the table."""


def size_problem(key: str, value: Any) -> str | None:
    """Why `value` cannot be the size or ratio `key`; None when it can, or `key` is another."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if key in CEILINGS and value > CEILINGS[key]:
        return f"is {shown(value)}; no model has more than {CEILINGS[key]:,}"
    if key in RATIOS and not RATIOS[key][0] <= value <= RATIOS[key][1]:
        least, most = RATIOS[key]
        return f"must be between {least:g} and {most:g}, not {shown(value)}"
    return None


def check_sizes(config: Mapping[str, Any]) -> None:
    """Raises UsageError naming the key whose value no model can have; sections are looked into."""
    for key, problem in _problems(config, ""):
        raise UsageError(
            f"config.json: {key} {problem}", "correct it, or take the model's own config.json"
        )


def _problems(section: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _problems(value, f"{prefix}{key}.")
        for number in value if isinstance(value, list) else (value,):
            if problem := size_problem(key, number):
                yield prefix + key, problem
