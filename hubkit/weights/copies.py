"""Tensors that a model has once in memory and some files hold once more: an output head that is the
embedding table, T5's tables of encoder and decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hubkit.sdk.errors import WeightsError
from hubkit.sdk.family import ModelFamily

from .adapters.adapter import Adapter, Replacement
from .checkpoint import Checkpoint
from .placement import Edit, Target
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


def copied_targets(held: Mapping[str, str], known: Mapping[str, Target]) -> dict[str, Target]:
    """By their names, those that the weights may lack."""
    return {name: replace(known[of], source=name) for name, of in held.items() if name not in known}


def as_one(
    adapter: Adapter,
    edits: Mapping[str, list[Edit]],
    held: Mapping[str, str],
    layout: Layout,
    tie: Tie | None,
) -> dict[str, list[Edit]]:
    """`edits` without those of copies that the weights lack: of tensors that are one, each must be
    replaced by the same, as peft saves them when the whole module was trained.

    Raises:
        WeightsError: one of them is changed alone: the merged model has no other.
    """
    others = {name: of for name, of in held.items() if tie is None or name != tie.head}
    kept = dict(edits)
    for of in set(others.values()):
        group = [of, *(name for name in others if others[name] == of)]
        touched = sorted(name for name in group if name in edits)
        if touched and not _alike(adapter, [edits.get(name, []) for name in group]):
            same = ", ".join(sorted({*group} - {touched[0]}))
            raise WeightsError(
                f"the adapter changes {touched[0]!r}, which in this model is also {same}",
                "train without the embedding table",
            )
        for name in group:
            if name not in layout:
                kept.pop(name, None)
    return kept


def _alike(adapter: Adapter, edits: Sequence[list[Edit]]) -> bool:
    deltas = [edit.delta for found in edits for edit in found]
    keys = [delta.key for delta in deltas if isinstance(delta, Replacement)]
    whole = len(keys) == len(edits) and all(len(found) == 1 for found in edits)
    return whole and all(equal(adapter.source, keys[0], key) for key in keys[1:])
