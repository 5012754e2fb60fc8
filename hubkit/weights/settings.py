"""What trainers say about a LoRA, reduced to what its merge needs."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from hubkit.sdk.errors import WeightsError
from hubkit.sdk.excerpt import shown

from .adapters.adapter import Adapter, LoRA, Replacement, Wrapped
from .adapters.names import modules_of
from .checkpoint import Checkpoint
from .patterns import first_matching

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
        "target_parameters",
    }
)

_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Initialisations that change the base's own weights, so that the adapter does not fit the
published base."""

_LARGEST = 1 << 40

_PART = re.compile(
    r"(?P<module>.+)\.lora_(?P<part>A|B|embedding_A|embedding_B|magnitude_vector)(?:\.[^.]+)??(?P<kind>\.weight|\.bias)?"
)
_INNER = ".base_layer"
"""What is within a wrapper of peft's. One that wraps a parameter may be within another's."""
_REMEDY = "merge it with peft itself, or train a plain LoRA"
GATHER = (
    "save the adapter again; with DeepSpeed ZeRO-3 set stage3_gather_16bit_weights_on_model_save "
    "to true, with FSDP save inside summon_full_params"
)


@dataclass(frozen=True)
class Settings:
    """Rank and alpha, the exceptions to them by pattern of the module's name, the variants of LoRA
    in use, the modules of which peft trained a copy, and the parameters that have a LoRA (ends of
    their names)."""

    rank: int
    alpha: float
    ranks: Mapping[str, int] = field(default_factory=dict)
    alphas: Mapping[str, float] = field(default_factory=dict)
    rslora: bool = False
    dora: bool = False
    transposed: bool = False
    tying: bool = False
    copied: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()

    def of(self, modules: Collection[str], where: str) -> dict[str, tuple[int, float]]:
        """Each module's rank and the scale of its update."""
        ranks = first_matching(list(self.ranks), modules, where)
        alphas = first_matching(list(self.alphas), modules, where)
        found = {}
        for module in modules:
            by_rank, by_alpha = ranks[module], alphas[module]
            rank = self.rank if by_rank is None else self.ranks[by_rank]
            alpha = self.alpha if by_alpha is None else self.alphas[by_alpha]
            if rank < 1:
                raise WeightsError(
                    f"{where}: {module!r} has rank {rank}", "train with a rank of at least 1"
                )
            found[module] = rank, alpha / (rank**0.5 if self.rslora else rank)
        return found


def from_peft(config: Mapping[str, Any], where: str) -> Settings:
    """The settings in a LoraConfig.

    Raises:
        WeightsError: names every setting that would change the merge in a way hubkit does not know.
    """
    problems = []
    start = config.get("init_lora_weights")
    if isinstance(start, str) and start.lower().startswith(_CHANGES_BASE):
        problems.append(
            f"init_lora_weights is {shown(start)}, which changes the base's own weights"
        )
    for key, value in config.items():
        if key not in _NEUTRAL | _UNDERSTOOD and value not in (None, False, {}, []):
            problems.append(f"{shown(key)} is {shown(value)}, which hubkit cannot merge")
    if not _is_number(config.get("r"), int) or config["r"] < 1:
        problems.append(f"r is {shown(config.get('r'))}; a rank is at least 1")
    if not _is_number(config.get("lora_alpha"), int, float):
        problems.append(f"lora_alpha is {shown(config.get('lora_alpha'))}, not a number")
    for pattern_key, kinds in (("rank_pattern", (int,)), ("alpha_pattern", (int, float))):
        patterns = config.get(pattern_key) or {}
        if not isinstance(patterns, dict) or not all(
            _is_number(value, *kinds) for value in patterns.values()
        ):
            problems.append(f"{pattern_key} is {shown(patterns)}, not a mapping to numbers")
    parameters = config.get("target_parameters") or []
    if not isinstance(parameters, list) or not all(isinstance(one, str) for one in parameters):
        problems.append(f"target_parameters is {shown(parameters)}, not a list of names")
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
        parameters=tuple(parameters),
    )


def _is_number(value: Any, *kinds: type) -> bool:
    """Neither a truth value, nor NaN, nor beyond what can be computed with."""
    return type(value) in kinds and abs(value) <= _LARGEST


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
    owners = {module: _prefix(name, module, settings) for module in parts}
    wrapped = tuple(
        _wrapped(module, parts.pop(module), settings[owner])
        for module, owner in owners.items()
        if settings[owner].parameters
    )
    stated: dict[str, tuple[int, float]] = {}
    for prefix, own in settings.items():
        modules = [module for module in parts if owners[module] == prefix]
        stated |= own.of(modules, name)
    loras = tuple(
        lora_of(name, source, module, found, settings[owners[module]], *stated[module])
        for module, found in parts.items()
    )
    tying = any(own.tying for own in settings.values())
    given = names.values()
    unsaved = [end for end in _copied(settings) if not any(_ends(p, (end,)) for p in given)]
    return Adapter(
        name,
        source.only(names),
        loras,
        tuple(replacements),
        tying,
        unsaved=tuple(unsaved),
        wrapped=wrapped,
    )


def _wrapped(module: str, parts: Mapping[str, str], own: Settings) -> Wrapped:
    depth = 0
    while module.endswith(_INNER):
        module, depth = module.removesuffix(_INNER), depth + 1
    return Wrapped(module, depth, parts, own)


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
    return ".modules_to_save." in key or _ends(plain, _copied(settings))


def _copied(settings: Mapping[str, Settings]) -> tuple[str, ...]:
    return tuple(end for own in settings.values() for end in own.copied)


def _ends(tensor: str, ends: tuple[str, ...]) -> bool:
    return bool(ends) and any(path.endswith(ends) for path in modules_of(tensor))


def lora_of(
    name: str,
    source: Checkpoint,
    module: str,
    found: Mapping[str, str],
    own: Settings,
    rank: int,
    scale: float,
    count: int = 1,
) -> LoRA:
    """The LoRA that `found` are the parts of, for `count` experts at once.

    Raises:
        WeightsError: it lacks A or B, or their shapes are not those of its settings.
    """
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
    if a[0] == 0:
        raise WeightsError(f"{name}: {module!r} has rank 0", "train with a rank of at least 1")
    if a[0] != rank * count:
        raise WeightsError(
            f"{name}: {module!r} has rank {a[0] / count:g}, its settings say {rank}",
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


def _prefix(name: str, module: str, settings: Mapping[str, Settings]) -> str:
    """The longest of the settings' prefixes that the module's name begins with."""
    fitting = [prefix for prefix in settings if module.startswith(prefix)]
    if not fitting:
        raise WeightsError(f"{name}: nothing says the rank and alpha of {module!r}", _REMEDY)
    return max(fitting, key=len)
