"""What trainers say about a LoRA, reduced to what its merge needs."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from hubkit.sdk.errors import WeightsError

from .adapters.adapter import Adapter, LoRA, Replacement
from .checkpoint import Checkpoint

_NEUTRAL = frozenset(
    {
        *(
            "auto_mapping",
            "base_model_name_or_path",
            "bias",
            "eva_config",
            "exclude_modules",
            "inference_mode",
        ),
        *(
            "init_lora_weights",
            "layers_pattern",
            "layers_to_transform",
            "lora_dropout",
            "megatron_config",
            "megatron_core",
        ),
        *(
            "modules_to_save",
            "peft_type",
            "peft_version",
            "qalora_group_size",
            "revision",
            "runtime_config",
        ),
        *("target_modules", "task_type"),
    }
)
"""Settings of peft's LoraConfig that say how an adapter was trained, not how it is merged."""

_UNDERSTOOD = frozenset(
    {
        "r",
        "lora_alpha",
        "rank_pattern",
        "alpha_pattern",
        "use_rslora",
        "use_dora",
        "lora_bias",
        "fan_in_fan_out",
        "ensure_weight_tying",
    }
)

_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Initialisations that change the base's own weights, so that the adapter does not fit the
published base."""

_PART = re.compile(
    r"(?P<module>.+)\.lora_(?P<part>A|B|embedding_A|embedding_B|magnitude_vector)(?:\.[^.]+)??(?P<kind>\.weight|\.bias)?"
)
_WRAPPERS = re.compile(
    r"(^|\.)(?:(?:base_model\.model|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.)+"
)
"""Around a module, once or more: peft, torch.compile, FSDP and its checkpointing."""

_REMEDY = "merge it with peft itself, or train a plain LoRA"
GATHER = (
    "save the adapter again; with DeepSpeed ZeRO-3 set stage3_gather_16bit_weights_on_model_save "
    "to true, with FSDP save inside summon_full_params"
)


@dataclass(frozen=True)
class Settings:
    """Rank and alpha, the exceptions to them by pattern of the module's name, the variants of LoRA
    in use, and the modules of which peft trained a copy (ends of their names)."""

    rank: int
    alpha: float
    ranks: Mapping[str, int] = field(default_factory=dict)
    alphas: Mapping[str, float] = field(default_factory=dict)
    rslora: bool = False
    dora: bool = False
    transposed: bool = False
    tying: bool = False
    copied: tuple[str, ...] = ()

    def of(self, module: str, where: str) -> tuple[int, float]:
        """The module's rank and the scale of its update."""
        rank = int(_by_pattern(self.ranks, module, self.rank, where))
        alpha = float(_by_pattern(self.alphas, module, self.alpha, where))
        if rank < 1:
            raise WeightsError(
                f"{where}: {module!r} has rank {rank}", "train with a rank of at least 1"
            )
        return rank, alpha / (rank**0.5 if self.rslora else rank)


def from_peft(config: Mapping[str, Any], where: str) -> Settings:
    """The settings in a LoraConfig.

    Raises:
        WeightsError: names every setting that would change the merge in a way hubkit does not know.
    """
    problems = []
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
    for key, kind in (("rank_pattern", int), ("alpha_pattern", (int, float))):
        patterns = config.get(key) or {}
        if not isinstance(patterns, dict) or not all(
            isinstance(value, kind) for value in patterns.values()
        ):
            problems.append(f"{key} is {patterns!r}, not a mapping to numbers")
    if problems:
        raise WeightsError(f"{where}: {'; '.join(problems)}", _REMEDY)
    return Settings(
        rank=config["r"],
        alpha=config["lora_alpha"],
        ranks=config.get("rank_pattern") or {},
        alphas=config.get("alpha_pattern") or {},
        rslora=bool(config.get("use_rslora")),
        dora=bool(config.get("use_dora")),
        transposed=bool(config.get("fan_in_fan_out")),
        tying=bool(config.get("ensure_weight_tying")),
        copied=tuple(map(str, config.get("modules_to_save") or ())),
    )


def build(
    name: str, source: Checkpoint, names: Mapping[str, str], settings: Mapping[str, Settings]
) -> Adapter:
    """Sorts `names` (the adapter's keys, each with its name in the model before peft wrapped it)
    into low-rank updates and replacements. `settings` are by prefix of the module's name; the
    longest that fits counts.

    Raises:
        WeightsError: an empty tensor; a module without A or B, of rank 0 or of another rank than
            stated.
    """
    _check_gathered(name, source, names)
    parts: dict[str, dict[str, str]] = {}
    replacements = []
    for key, plain in names.items():
        match = _PART.fullmatch(plain)
        if match is None:
            replacements.append(Replacement(plain, key, _is_copied(plain, key, settings)))
            continue
        part = match["part"] + (".bias" if match["kind"] == ".bias" else "")
        found = parts.setdefault(match["module"], {})
        if part in found:
            raise WeightsError(
                f"{name}: {found[part]!r} and {key!r} are the same part of one module",
                "save a single adapter",
            )
        found[part] = key
    loras = tuple(_lora(name, source, module, found, settings) for module, found in parts.items())
    tying = any(own.tying for own in settings.values())
    return Adapter(name, source.only(names), loras, tuple(replacements), tying)


def _check_gathered(name: str, source: Checkpoint, names: Collection[str]) -> None:
    if not names:
        raise WeightsError(f"{name}: the adapter holds no tensors", f"nothing was saved: {GATHER}")
    if empty := [key for key in names if source.tensors[key].shape == (0,)]:
        raise WeightsError(
            f"{name}: {len(empty)} of {len(names)} tensors are empty, {empty[0]!r} among them: "
            "saved under ZeRO-3 without being gathered",
            GATHER,
        )


def _is_copied(plain: str, key: str, settings: Mapping[str, Settings]) -> bool:
    """peft matches ends of modules' names, without regard to dots."""
    if ".modules_to_save." in key:
        return True
    *modules, _ = plain.split(".")
    paths = [".".join(modules[: depth + 1]) for depth in range(len(modules))]
    ends = tuple(end for own in settings.values() for end in own.copied)
    return bool(ends) and any(path.endswith(ends) for path in paths)


def plain_names(keys: Collection[str]) -> dict[str, str]:
    """Each key with the tensor's name in the model before it was wrapped, or a part of it. The
    original of a module that peft trained a copy of is left out."""
    found = {}
    for key in keys:
        if ".original_module." in key and any(
            key.replace(".original_module.", copy) in keys
            for copy in (".modules_to_save.default.", ".modules_to_save.")
        ):
            continue
        plain = _WRAPPERS.sub(r"\1", key.removeprefix("module."))
        plain = re.sub(r"(\.modules_to_save(\.default)?)+(?=\.)", "", plain)
        found[key] = re.sub(r"(\.base_layer)+(?=\.)", "", plain)
    return found


def _lora(
    name: str,
    source: Checkpoint,
    module: str,
    found: Mapping[str, str],
    settings: Mapping[str, Settings],
) -> LoRA:
    embedding = "embedding_A" in found
    down, up = (found.get(f"embedding_{part}" if embedding else part) for part in "AB")
    known = (
        {"embedding_A", "embedding_B"} if embedding else {"A", "B", "B.bias", "magnitude_vector"}
    )
    if down is None or up is None or set(found) - known:
        raise WeightsError(
            f"{name}: module {module!r} has the parts {', '.join(sorted(found))}; a LoRA has A and "
            "B",
            _REMEDY,
        )
    prefix = max(
        (prefix for prefix in settings if module.startswith(prefix)), key=len, default=None
    )
    if prefix is None:
        raise WeightsError(f"{name}: nothing says the rank and alpha of {module!r}", _REMEDY)
    own = settings[prefix]
    a, b = source.tensors[down].shape, source.tensors[up].shape
    if len(a) == 1 or len(b) == 1:
        raise WeightsError(
            f"{name}: {module!r}: A is {a} and B is {b}: shares of one GPU, saved without being "
            "gathered",
            GATHER,
        )
    if len(a) != 2 or len(b) != 2 or a[0] != b[1]:
        raise WeightsError(
            f"{name}: {module!r}: A is {a} and B is {b}; they must be (rank, in) and (out, rank)",
            _REMEDY,
        )
    rank, scale = own.of(module, name)
    if a[0] == 0:
        raise WeightsError(f"{name}: {module!r} has rank 0", "train with a rank of at least 1")
    if a[0] != rank:
        raise WeightsError(
            f"{name}: {module!r} has rank {a[0]}, its settings say {rank}",
            "keep settings and weights together",
        )
    magnitude, transposed = found.get("magnitude_vector"), own.transposed or embedding
    if (own.dora and (magnitude is None or transposed)) or (magnitude is not None and not own.dora):
        raise WeightsError(
            f"{name}: {module!r}: use_dora is {own.dora}, its parts are {', '.join(sorted(found))}",
            _REMEDY,
        )
    if magnitude is not None and math.prod(source.tensors[magnitude].shape) != b[0]:
        raise WeightsError(
            f"{name}: {magnitude!r} is {source.tensors[magnitude].shape}, not ({b[0]},)", _REMEDY
        )
    return LoRA(
        module, down, up, rank, scale, transposed, magnitude, found.get("B.bias"), embedding
    )


def _by_pattern(patterns: Mapping[str, Any], module: str, default: Any, where: str) -> Any:
    """peft's rule: the first pattern that matches the module's name, or its end after a dot, as a
    regular expression."""
    for pattern, value in patterns.items():
        try:
            if re.match(rf"(.*\.)?({pattern})$", module):
                return value
        except re.error as error:
            raise WeightsError(
                f"{where}: {pattern!r} is no regular expression ({error})", _REMEDY
            ) from None
    return default
