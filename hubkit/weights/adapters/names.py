"""The files of PEFT's adapter folders, and what it calls tensors."""

from __future__ import annotations

import re
from collections.abc import Collection

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_WRAPPERS = re.compile(
    r"(^|\.)(?:(?:base_model\.model|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.)+"
)
"""Around a module, once or more: peft, torch.compile, FSDP and its checkpointing."""


def modules_of(tensor: str) -> list[str]:
    """The module that a tensor is in, and those that this one is in. peft matches the ends of such
    names, without regard to dots."""
    *modules, _ = tensor.split(".")
    return [".".join(modules[: depth + 1]) for depth in range(len(modules))]


def plain_names(keys: Collection[str], nested: bool = False) -> dict[str, str]:
    """Each key with the tensor's name in the model before it was wrapped, or a part of it. The
    original of a module that peft trained a copy of is left out. With `nested` the names of LoRAs
    keep what says that they are within one another."""
    inner = r"(\.base_layer)+(?=\.)" + (r"(?!\.lora_|\.base_layer)" if nested else "")
    found = {}
    for key in keys:
        if ".original_module." in key and any(
            key.replace(".original_module.", copy) in keys
            for copy in (".modules_to_save.default.", ".modules_to_save.")
        ):
            continue
        plain = _WRAPPERS.sub(r"\1", key.removeprefix("module."))
        plain = re.sub(r"(\.modules_to_save(\.default)?)+(?=\.)", "", plain)
        found[key] = re.sub(inner, "", plain)
    return found
