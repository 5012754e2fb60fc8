"""Why the weights are not those that config.json asks for: the one cause behind many tensors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hubkit.sdk.errors import WeightsError
from hubkit.sdk.family import ModelFamily, Problem

from .checkpoint import Checkpoint
from .header import TensorInfo

FLOATS = ("BF16", "F16", "F32", "F64")
_QUANTISED = re.compile(
    r".*(\.(qweight|qzeros|g_idx|weight_scale(_inv)?|input_scale|weight_packed|SCB|absmax"
    r"|quant_map)|\.quant_state\..*)"
)
"""What AWQ, GPTQ, FP8, compressed-tensors and bitsandbytes put beside or in place of a weight."""
_WRAPPED = re.compile(r"(.*\.)?(base_model\.model\..*|lora_[AB]\..*|base_layer\..*)")
_BY_TOKEN = re.compile(r"(.*\.)?(embed_tokens|shared|tok_embeddings|lm_head|output)\.weight")
QUANTISATION = "quantization_config"


def by_token(name: str) -> bool:
    """Whether the tensor has a row for each token of the vocabulary."""
    return _BY_TOKEN.fullmatch(name) is not None


def diagnosis(
    weights: Checkpoint,
    family: ModelFamily,
    config: Mapping[str, Any],
    layout: Mapping[str, tuple[int, ...]],
) -> Problem | None:
    """The cause, where it is one of those that people meet."""
    where = next(iter(weights.shards))
    method = _method(config)
    packed = [
        name
        for name, info in weights.tensors.items()
        if info.dtype not in FLOATS or _QUANTISED.fullmatch(name)
    ]
    if packed and (method or any(_QUANTISED.fullmatch(name) for name in packed)):
        return Problem(
            where,
            f"the model is quantised ({method or weights.tensors[packed[0]].dtype}), "
            f"{packed[0]!r} for one",
            "give the unquantised model that it was made from",
        )
    if method:
        kinds = {info.dtype for info in weights.tensors.values()}
        return Problem(
            f"config.json: {QUANTISATION}",
            f"{QUANTISATION} ({method}) stands beside unquantised weights "
            f"({', '.join(sorted(kinds))}): they would be quantised when they are loaded",
            f"remove {QUANTISATION} from config.json",
        )
    if any(_WRAPPED.fullmatch(name) for name in weights.tensors.keys() - layout.keys()):
        return Problem(
            where,
            "this is an unmerged LoRA checkpoint",
            "merge it: hubkit merge BASE FOLDER OUT",
        )
    if layout.keys() == weights.tensors.keys():
        return _resized(weights, layout) or _turned(weights, layout)
    native = {entry.name for entry in family.native(config).tensors}
    if weights.tensors.keys() <= native:
        return Problem(
            where,
            "the tensors have transformers' own names",
            "write them under the published ones: hubkit convert FOLDER OUT --to official --like "
            "BASE",
        )
    return None


def _method(config: Mapping[str, Any]) -> str:
    """How config.json, or a section of it, says that the model is quantised."""
    for section in (config, *(v for v in config.values() if isinstance(v, Mapping))):
        found = section.get(QUANTISATION)
        if isinstance(found, Mapping):
            return str(found.get("quant_method", "an unnamed method"))
        if found:
            return str(found)
    return ""


def _resized(weights: Checkpoint, layout: Mapping[str, tuple[int, ...]]) -> Problem | None:
    """The tables by token, and they alone, have another number of rows than config.json says."""
    odd = [name for name, info in weights.tensors.items() if info.shape != tuple(layout[name])]
    rows = {weights.tensors[name].rows for name in odd}
    if not odd or len(rows) != 1 or not all(by_token(name) for name in odd):
        return None
    return Problem(
        "config.json: vocab_size",
        f"is {layout[odd[0]][0]}, {odd[0]!r} has {rows.pop()} rows: the vocabulary was resized",
        f"set the language model's vocab_size to {weights.tensors[odd[0]].rows}, and take the "
        "tokenizer of these weights",
    )


def _turned(weights: Checkpoint, layout: Mapping[str, tuple[int, ...]]) -> Problem | None:
    """Experts as transformers 5 has them in memory: it does not turn them back when it saves
    them."""
    odd = [info for name, info in weights.tensors.items() if info.shape != tuple(layout[name])]
    if not odd or any((one.shape[:1] + one.shape[:0:-1]) != layout[one.name] for one in odd):
        return None
    first = odd[0]
    return Problem(
        first.shard,
        f"{first.name!r} is {first.shape}, published {tuple(layout[first.name])}: transformers 5 "
        "saved the experts as it holds them in memory, and other readers would not know",
        "take the weights from the model's own repository",
    )


def layout_problems(weights: Checkpoint, layout: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Every tensor that is missing, unexpected or of another shape."""
    return list(_layout_problems(weights, layout))


def _layout_problems(weights: Checkpoint, layout: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    yield from (f"{name!r} is missing" for name in layout if name not in weights.tensors)
    for name, info in weights.tensors.items():
        if name not in layout:
            yield f"{name!r} in {info.shard} is unexpected"
        elif info.shape != tuple(layout[name]):
            yield f"{name!r} is {info.shape}, config.json says {tuple(layout[name])}"


def check_floats(tensors: Iterable[TensorInfo]) -> None:
    """Raises WeightsError for a tensor that is not of floating point in 16 bits or more."""
    for info in tensors:
        if info.dtype not in FLOATS:
            raise WeightsError(
                f"{info.shard}: tensor {info.name!r} is {info.dtype}; hubkit merges "
                f"{', '.join(FLOATS)}",
                "use the unquantised weights, in bfloat16",
            )
