"""What transformers does not load as it is: experts that it puts into one parameter, and tensors
that it leaves out (checked with 5.23)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hubkit.sdk import Experts
from hubkit.sdk.outline import OutlinedTensor

Pieces = dict[str, list[str]]
"""Names of published tensors, one an expert, by the patterns of the parts that a parameter's rows
are made of."""


def parts_of(converters: Sequence[Any], pattern: str) -> tuple[str, ...]:
    """The patterns of the converter that `pattern` is one of, where it does no more than to put
    each expert's matrices together."""
    from transformers.core_model_loading import Concatenate, MergeModulelist

    for one in converters:
        if pattern in one.source_patterns:
            (first, *rest) = one.operations
            merged = isinstance(first, MergeModulelist) and first.dim == 0
            joined = [isinstance(step, Concatenate) and step.dim == 1 for step in rest]
            whole = merged and joined == [True] * (len(one.source_patterns) > 1)
            return tuple(one.source_patterns) if whole else ()
    return ()


def stacks(
    model: Any, published: Mapping[str, str], pieces: Mapping[str, Pieces]
) -> Iterator[Experts]:
    """The parameters that hold a matrix of all experts, in the order in which the class has
    them."""
    for place, module in model.named_modules():
        turned = getattr(module, "is_transposed", None)
        for last, parameter in module.named_parameters(recurse=False) if turned is not None else ():
            name = f"{place}.{last}"
            if parameter.ndim != 3 or not (name in published or name in pieces):
                continue
            count, *sides = parameter.shape
            out, wide = reversed(sides) if turned else sides
            if name in published:
                whole = ((published[name],),)
                yield Experts(name, (count, out, wide), whole, bool(turned), bool(turned))
            else:
                each = tuple(zip(*pieces[name].values(), strict=True))
                yield Experts(name, (count, out, wide), each, held_turned=bool(turned))


def matrices(experts: Iterable[Experts]) -> Iterator[OutlinedTensor]:
    """Each expert's own tensors, which go by their published names."""
    for one in experts:
        for sources in () if one.stacked else one.sources:
            shape = (one.shape[1] // len(sources), one.shape[2])
            yield from (OutlinedTensor(name, name, shape) for name in sources)


def left_out(
    model: Any, known: Mapping[str, tuple[int, ...]], placed: Iterable[str]
) -> Iterator[OutlinedTensor]:
    """Tensors of the weights that the class has no use for, such as Qwen3.5's layers that guess
    further tokens (`mtp`); no adapter changes them."""
    patterns = getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()
    used = set(placed)
    for name, shape in known.items():
        if name not in used and any(re.search(pattern, name) for pattern in patterns):
            yield OutlinedTensor(name, name, shape)
