"""PEFT's adapter folders: adapter_config.json and adapter_model.safetensors.

Keys are those that peft 0.21 writes (`base_model.model.MODULE.lora_A.weight`), with or without the adapter's name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk.errors import UsageError, WeightsError

from .adapter import Adapter, LoRA, Replacement, TensorSource
from .checkpoint import Checkpoint
from .files import read_json

_NEUTRAL = frozenset(
    {
        *("auto_mapping", "base_model_name_or_path", "bias", "eva_config", "exclude_modules", "inference_mode"),
        *("init_lora_weights", "layers_pattern", "layers_to_transform", "lora_dropout", "megatron_config", "megatron_core"),
        *("modules_to_save", "peft_type", "peft_version", "qalora_group_size", "revision", "runtime_config"),
        *("target_modules", "task_type"),
    }
)
"""Settings of peft's LoraConfig that say how an adapter was trained, not how it is merged."""

_UNDERSTOOD = frozenset(["r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora"])

_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Initialisations that change the base's own weights, so that the adapter does not fit the published base."""

_LORA = re.compile(
    r"(?P<module>.+)\.lora_(?P<part>A|B|embedding_A|embedding_B|magnitude_vector)(?:\.[^.]+)??(?P<kind>\.weight|\.bias)?"
)
_REMEDY = "merge it with peft itself, or train a plain LoRA"


def read_peft(folder: Path) -> Adapter:
    """The adapter in a PEFT folder.

    Raises:
        WeightsError: a setting or key that hubkit cannot merge, by name; a rank of 0; A without B.
    """
    if not (folder / "adapter_config.json").is_file():
        raise UsageError(f"{folder}: adapter_config.json is missing", "give the folder that peft's save_pretrained wrote")
    if not (folder / "adapter_model.safetensors").is_file():
        raise UsageError(f"{folder}: adapter_model.safetensors is missing", "save the adapter with safe_serialization=True")
    config = read_json(folder, "adapter_config.json")
    check_settings(config)
    source = Checkpoint.open(folder, "adapter_model")
    try:
        return build(folder.name, source, source.tensors, config)
    except BaseException:
        source.close()
        raise


def check_settings(config: Mapping[str, Any]) -> None:
    """Raises WeightsError for every setting that would change the merge in a way hubkit does not know."""
    problems = []
    if config.get("peft_type") != "LORA":
        problems.append(f"peft_type is {config.get('peft_type')!r}, not 'LORA'")
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGES_BASE):
        problems.append(f"init_lora_weights is {start!r}, which changes the base's own weights")
    for key, value in config.items():
        if key not in _NEUTRAL | _UNDERSTOOD and value not in (None, False, {}, []):
            problems.append(f"{key} is {value!r}, which hubkit cannot merge")
    if type(config.get("r")) is not int or config["r"] < 1:
        problems.append(f"r is {config.get('r')!r}; a rank is at least 1")
    if type(config.get("lora_alpha")) not in (int, float):
        problems.append(f"lora_alpha is {config.get('lora_alpha')!r}, not a number")
    for key in ("rank_pattern", "alpha_pattern"):
        if not isinstance(config.get(key) or {}, dict):
            problems.append(f"{key} is {config[key]!r}, not a mapping")
    if problems:
        raise WeightsError("adapter_config.json: " + "; ".join(problems), _REMEDY)


def build(name: str, source: TensorSource, keys: Iterable[str], config: Mapping[str, Any]) -> Adapter:
    """Sorts the keys into low-rank updates and replacements, and takes each module's rank and alpha from the config."""
    parts: dict[str, dict[str, str]] = {}
    replacements = []
    for key in keys:
        plain = plain_name(key)
        match = _LORA.fullmatch(plain)
        if match is None:
            replacements.append(Replacement(plain, key))
            continue
        part = match["part"] + (".bias" if match["kind"] == ".bias" else "")
        found = parts.setdefault(match["module"], {})
        if part in found:
            raise WeightsError(f"{name}: {found[part]!r} and {key!r} are the same part of one module", "save a single adapter")
        found[part] = key
    if not parts and not replacements:
        raise WeightsError(f"{name}: the adapter holds no tensors", "train again; nothing was saved")
    loras = tuple(_lora(name, source, module, found, config) for module, found in parts.items())
    return Adapter(name, source, loras, tuple(replacements))


def plain_name(key: str) -> str:
    """The tensor's name in the model before peft wrapped it."""
    key = key.removeprefix("base_model.model.")
    return re.sub(r"\.modules_to_save(\.default)?(?=\.)", "", key).replace(".base_layer.", ".")


def _lora(name: str, source: TensorSource, module: str, found: Mapping[str, str], config: Mapping[str, Any]) -> LoRA:
    down, up = found.get("A"), found.get("B")
    if down is None or up is None or set(found) - {"A", "B"}:
        raise WeightsError(f"{name}: module {module!r} has the parts {', '.join(sorted(found))}; a LoRA has A and B", _REMEDY)
    rank = int(_by_pattern(config.get("rank_pattern") or {}, module, config["r"]))
    alpha = float(_by_pattern(config.get("alpha_pattern") or {}, module, config["lora_alpha"]))
    a, b = source.tensors[down].shape, source.tensors[up].shape
    if len(a) != 2 or len(b) != 2 or a[0] != b[1]:
        raise WeightsError(f"{name}: {module!r}: A is {a} and B is {b}; they must be (rank, in) and (out, rank)", _REMEDY)
    if a[0] == 0 or rank < 1:
        raise WeightsError(f"{name}: {module!r} has rank 0", "train with a rank of at least 1")
    if a[0] != rank:
        raise WeightsError(
            f"{name}: {module!r} has rank {a[0]}, adapter_config.json says {rank}", "keep config and weights together"
        )
    return LoRA(module, down, up, rank, alpha / (rank**0.5 if config.get("use_rslora") else rank))


def _by_pattern(patterns: Mapping[str, Any], module: str, default: Any) -> Any:
    """peft's rule: the first pattern that matches the module's name, or its end after a dot, as a regular expression."""
    for pattern, value in patterns.items():
        try:
            if re.match(rf"(.*\.)?({pattern})$", module):
                return value
        except re.error as error:
            raise WeightsError(f"adapter_config.json: {pattern!r} is no regular expression ({error})", _REMEDY) from None
    return default
