"""What stands in a folder in place of a linear layer's `weight` once it was quantised.

Source: compressed-tensors' `compressors/` (0.19). A weight of 8 bits keeps its name and shape and
gets a `weight_scale`; one of 4 bits becomes `weight_packed` (eight to an int32), `weight_scale`
(one a group) and `weight_shape`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .header import TensorInfo

_WHOLE = {"BF16", "F16", "F32"}
_BYTE = {"float-quantized": "F8_E4M3", "int-quantized": "I8"}
_PACKED = "pack-quantized"
Parts = Mapping[str, tuple[tuple[int, ...], tuple[str, ...]]]
"""Names to the shape and the types that they may have."""


def is_compressed(config: Mapping[str, Any]) -> bool:
    """Whether config.json describes weights that compressed-tensors has quantised."""
    said = config.get("quantization_config")
    return isinstance(said, Mapping) and said.get("quant_method") == "compressed-tensors"


def problems(
    config: Mapping[str, Any],
    layout: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, TensorInfo],
) -> Iterator[tuple[str, str]]:
    """(tensor, what is wrong with it): each weight of `layout` must be among `tensors` as it is, or
    quantised as `config` says, and nothing else may be there."""
    form = config["quantization_config"].get("format")
    if form not in (*_BYTE, _PACKED):
        yield "quantization_config", f"has the format {form!r}; known are float, int and packed"
        return
    explained = set[str]()
    for name, shape in layout.items():
        stem = name.removesuffix("weight")
        parts = {name: (shape, tuple(sorted(_WHOLE)))}
        if f"{stem}weight_scale" in tensors and stem != name:
            parts = dict(_parts(stem, shape, form, tensors[f"{stem}weight_scale"].shape))
        explained |= set(parts)
        for part, (wanted, types) in parts.items():
            found = tensors.get(part)
            if found is None:
                yield part, "is missing"
            elif found.shape != wanted or found.dtype not in types:
                yield part, f"is {found.dtype} {list(found.shape)}, not {types[0]} {list(wanted)}"
    for name in sorted(set(tensors) - explained):
        yield name, "is explained by nothing in config.json"


def _parts(stem: str, shape: tuple[int, ...], form: str, scale: tuple[int, ...]) -> Parts:
    rows, columns = shape[0], shape[-1]
    floats = tuple(sorted(_WHOLE))
    if form != _PACKED:
        return {
            f"{stem}weight": (shape, (_BYTE[form],)),
            f"{stem}weight_scale": ((rows, 1), floats),
        }
    groups = scale[-1] if len(scale) == 2 and scale[-1] and columns % scale[-1] == 0 else 1
    return {
        f"{stem}weight_packed": ((rows, -(-columns // 8)), ("I32",)),
        f"{stem}weight_scale": ((rows, groups), floats),
        f"{stem}weight_shape": ((2,), ("I64", "I32")),
    }
