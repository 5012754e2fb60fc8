"""Output heads that are the embedding table: what an adapter to either does to the other.

peft trains LoRAs and copies of modules (modules_to_save) apart: the other side of the tie keeps
what it had, unless ensure_weight_tying is set. A tensor that was trained in place is both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hubkit.sdk.family import ModelFamily

from .adapters.adapter import Adapter, LoRA, Replacement
from .checkpoint import Checkpoint
from .placement import Edit

_KEY = "tie_word_embeddings"
_TABLE = re.compile(r"(.*\.)?(embed_tokens|shared|tok_embeddings)\.weight")
_BLOCK = 16 * 2**20
"""Bytes compared at a time."""


@dataclass(frozen=True)
class Tie:
    """`table` and `head` are official names; `config` is the config.json of the model in which each
    has a tensor of its own."""

    table: str
    head: str
    config: Mapping[str, Any]


def tie_of(
    family: ModelFamily, config: Mapping[str, Any], layout: Mapping[str, tuple[int, ...]]
) -> Tie | None:
    """The tie of a model whose layout has no output head; None where there is none."""
    untied = _untied(config)
    heads = [name for name in family.layout(untied) if name not in layout]
    tables = [name for name in layout if _TABLE.fullmatch(name)]
    if len(heads) != 1 or len(tables) != 1:
        return None
    return Tie(tables[0], heads[0], untied)


def _untied(config: Mapping[str, Any]) -> dict[str, Any]:
    """`tie_word_embeddings: false` at the top, where transformers looks, and in the section of the
    language model, where servers do."""
    sections = {
        key: {**value, _KEY: False}
        for key, value in config.items()
        if isinstance(value, Mapping) and (_KEY in value or key in ("text_config", "llm_config"))
    }
    return {**config, **sections, _KEY: False}


def tied_edits(
    adapter: Adapter, edits: Mapping[str, list[Edit]], tie: Tie
) -> dict[str, list[Edit]]:
    """`edits` of one adapter, with every change that both sides of the tie share at both of
    them."""
    table, head = edits.get(tie.table, []), edits.get(tie.head, [])
    at_table: list[Edit] = []
    at_head: list[Edit] = []
    for kind in (Replacement, LoRA):
        ours, theirs = (
            [edit for edit in side if isinstance(edit.delta, kind)] for side in (table, head)
        )
        if ours and theirs and not _alike(adapter, ours[0].delta, theirs[0].delta):
            at_table += ours
            at_head += theirs
            continue
        both = bool(ours and theirs) or adapter.tying
        for one in (ours or theirs)[:1]:
            shared = both or (isinstance(one.delta, Replacement) and not one.delta.copied)
            at_table += [_at(one, tie.table)] if shared or ours else []
            at_head += [_at(one, tie.head)] if shared or theirs else []
    rest = {name: found for name, found in edits.items() if name not in (tie.table, tie.head)}
    sides = {tie.table: at_table, tie.head: at_head}
    return {**rest, **{name: found for name, found in sides.items() if found}}


def still_tied(edits: Mapping[str, list[Edit]], tie: Tie) -> bool:
    """Whether the same is done to both sides."""
    table, head = (
        [(edit.delta, edit.weight, id(edit.adapter)) for edit in edits.get(name, ())]
        for name in (tie.table, tie.head)
    )
    return table == head


def _at(edit: Edit, name: str) -> Edit:
    return replace(edit, target=replace(edit.target, source=name))


def _alike(adapter: Adapter, one: LoRA | Replacement, other: LoRA | Replacement) -> bool:
    """Whether both do the same, to the bit. An embedding's LoRA is stored as a linear's, turned."""
    source = adapter.source
    if isinstance(one, Replacement) or isinstance(other, Replacement):
        assert isinstance(one, Replacement) and isinstance(other, Replacement)
        return equal(source, one.key, other.key)
    if one.scale != other.scale or one.magnitude or other.magnitude or one.bias or other.bias:
        return False
    import torch

    if one.transposed == other.transposed:
        return equal(source, one.down, other.down) and equal(source, one.up, other.up)
    pairs = ((one.down, other.up), (one.up, other.down))
    return all(bool(torch.equal(source.load(a), source.load(b).T)) for a, b in pairs)


def equal(source: Checkpoint, one: str, other: str) -> bool:
    """Whether two tensors have the same bytes. Compares block by block: tables of large
    vocabularies take gigabytes."""
    a, b = source.tensors[one], source.tensors[other]
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return False
    for start in range(0, a.size, _BLOCK):
        length = min(_BLOCK, a.size - start)
        parts = bytearray(length), bytearray(length)
        for info, part in zip((a, b), parts, strict=True):
            source.shard(info.name).read_into(memoryview(part), info.start + start)
        if parts[0] != parts[1]:
            return False
    return True
