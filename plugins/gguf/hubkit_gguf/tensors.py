"""What stands in a GGUF file: each tensor with its source and how its numbers are laid out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hubkit.sdk import RefusedError

Arrange = Callable[[Any], Any]
"""A whole array, in another order or shape."""


@dataclass(frozen=True)
class Tensor:
    """`source` is the tensor's native name. With `arrange` it is read whole, else by rows; `exact`
    keeps it in float32 whatever its shape."""

    name: str
    source: str
    arrange: Arrange | None = None
    exact: bool = False


def interleaved(heads: int) -> Arrange:
    """Rows of a query or key as llama.cpp's Llama turns them: pairs of neighbours, where
    transformers turns the halves of a head."""

    def arrange(array: Any) -> Any:
        halves = array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:])
        return halves.swapaxes(1, 2).reshape(array.shape)

    return arrange


def flat(array: Any) -> Any:
    return array.reshape(-1)


def frame(number: int) -> Arrange:
    """One frame of a filter over (width, channels, frames, rows, columns)."""
    return lambda array: array[:, :, number]


def third(number: int) -> Arrange:
    """Query, key or value of rows that hold all three."""
    return lambda array: array.reshape(3, -1, *array.shape[1:])[number]


def class_last(array: Any) -> Any:
    """Positions (1, 1 + patches, width) as (patches + 1, width), the class token's at the end."""
    import numpy

    return numpy.roll(array.reshape(array.shape[-2:]), -1, axis=0)


def refuse_others(who: str, wanted: Mapping[str, tuple[Any, Any]]) -> None:
    """Raises RefusedError with every key of which the first value is not the second, that `who` has
    a place for."""
    odd = [
        f"{key} is {have!r}, not {want!r}" for key, (have, want) in wanted.items() if have != want
    ]
    if odd:
        raise RefusedError(
            f"llama.cpp's {who} has no place for this model: {'; '.join(odd)}",
            "leave the variant out of the release file",
        )
