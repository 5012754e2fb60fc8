"""Tensors that a model has once in memory and some files hold once more: an output head that is the
embedding table, T5's tables of encoder and decoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hubkit.sdk.errors import WeightsError
from hubkit.sdk.family import ModelFamily

from .checkpoint import Checkpoint
from .tying import Tie, equal

Layout = Mapping[str, tuple[int, ...]]


def copies_of(family: ModelFamily, config: Mapping[str, Any]) -> Mapping[str, str]:
    """What may be there once more, by its name, and which tensor it is; families need not say."""
    known = getattr(family, "copies", None)
    return known(config) if known else {}


def with_copies(
    weights: Checkpoint, family: ModelFamily, config: Mapping[str, Any], layout: Layout
) -> Layout:
    """`layout` and those copies that the weights have."""
    found = copies_of(family, config).items()
    return {**layout, **{name: layout[of] for name, of in found if name in weights.tensors}}


def check_copies(weights: Checkpoint, family: ModelFamily, config: Mapping[str, Any]) -> None:
    """Raises WeightsError for a copy that is another tensor."""
    for name, of in copies_of(family, config).items():
        if name in weights.tensors and of in weights.tensors and not equal(weights, name, of):
            raise WeightsError(
                f"{name!r} is not {of!r}, though config.json says that they are one",
                "set tie_word_embeddings to false in text_config where the output head differs, or "
                "take the weights from the model's own repository",
            )


def check_untouched(edited: Iterable[str], held: Mapping[str, str], tie: Tie | None) -> None:
    """Raises WeightsError for a change to one of several tensors that are one: peft changes the one
    alone, and the merged model has no other."""
    others = {name: of for name, of in held.items() if tie is None or name != tie.head}
    for name in edited:
        same = sorted({*others, *others.values()} - {name})
        if name in others or name in others.values():
            raise WeightsError(
                f"the adapter changes {name!r}, which in this model is also {', '.join(same)}",
                "train without the embedding table",
            )
