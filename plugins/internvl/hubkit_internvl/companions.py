"""The files beside the weights: which must be there, which are carried."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hubkit.sdk import Companions

_REQUIRED = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
_TOKENIZER = "tokenizer.json|tokenizer.model|vocab.json"
_CODE = (
    "configuration_intern_vit.py",
    "configuration_internlm2.py",
    "configuration_internvl_chat.py",
    "configuration_phi3.py",
    "conversation.py",
    "modeling_intern_vit.py",
    "modeling_internlm2.py",
    "modeling_internvl_chat.py",
    "modeling_phi3.py",
    "tokenization_internlm2.py",
    "tokenization_internlm2_fast.py",
)
_DATA = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "merges.txt",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "video_preprocessor_config.json",
    "vocab.json",
)
TARGET = re.compile(r"(?P<module>[A-Za-z_]\w*)\.(?P<name>[A-Za-z_]\w*)")


def targets(config: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """`auto_map` as {auto class: (module, class)}, the entries of the form `module.Class` only."""
    found = {}
    for auto_class, value in (config.get("auto_map") or {}).items():
        if isinstance(value, str) and (match := TARGET.fullmatch(value)):
            found[str(auto_class)] = (match["module"], match["name"])
    return found


def companions(config: Mapping[str, Any]) -> Companions:
    """Required is what config.json alone shows; what those modules import in turn is found by the
    check of a folder."""
    modules = sorted({f"{module}.py" for module, _ in targets(config).values()})
    required = (*_REQUIRED, _TOKENIZER, *modules)
    named = {name for need in required for name in need.split("|")}
    return Companions(required, tuple(name for name in (*_CODE, *_DATA) if name not in named))
