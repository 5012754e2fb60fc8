"""What a stage changed: every tensor of its checkpoint against the one before, by group."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hubkit.sdk import RefusedError
from hubkit.sdk.checkpoints import TensorInfo, Weights

from . import names
from .options import Options
from .rows import against_base, differing

_SHOWN = 8
_REMEDY = (
    "the stage's own requires_grad is wrong, or it loaded other weights: fix the checkout and run "
    "this stage again"
)
FROZEN = (
    "fix the checkout and run this stage again; in the current code `model.requires_grad_(False)` "
    "of train.py also freezes the LoRA that was added before: set requires_grad of the parameters "
    "with `lora_` in their names after it"
)


@dataclass(frozen=True)
class Group:
    """Tensors and parameters of a group; `changed` parameters lie in tensors that are not what they
    were, `new` ones in tensors that the checkpoint before did not have, `frozen` ones in tensors
    that were saved as not trainable."""

    tensors: int = 0
    parameters: int = 0
    changed: int = 0
    new: int = 0
    frozen: int = 0


@dataclass(frozen=True)
class Report:
    """`groups` by title; `base_rows` are rows of the base's vocabulary that are not what they were
    before, of all embeddings; `lora_rank` is 0 without a LoRA. `wrong` are sentences about what the
    stage must not have done."""

    stage: int
    groups: Mapping[str, Group]
    base_rows: int
    lora_rank: int
    wrong: tuple[str, ...]

    @property
    def trainable(self) -> int:
        """Parameters of the stage's own groups, without those that the checkpoint says were
        frozen."""
        return sum(
            group.parameters - group.frozen
            for title, group in self.groups.items()
            if title in names.OWN[self.stage]
        )

    def lines(self) -> Iterator[str]:
        for title, group in self.groups.items():
            frozen = f", {group.frozen:,} frozen" if group.frozen else ""
            yield (
                f"{title}: {group.changed:,} changed, {group.new:,} new of {group.parameters:,} "
                f"parameters{frozen}"
            )
        if self.base_rows:
            yield f"embeddings: {self.base_rows:,} rows of the base's own vocabulary changed"

    def refuse(self) -> None:
        """Raises RefusedError when the stage trained nothing, or what is not its own; names the
        tensors."""
        if self.wrong:
            listed = "".join(f"\n  {one}" for one in self.wrong)
            remedy = FROZEN if self.stage == 3 else _REMEDY
            raise RefusedError(
                f"stage {self.stage} of NExT-GPT did not do what it is for:{listed}", remedy
            )


def compare(
    stage: int,
    before: Weights | None,
    after: Weights,
    options: Options,
    rank: int = 0,
    language: Weights | None = None,
) -> Report:
    """`before` is the checkpoint that the stage began with; None when it began without one, and
    then only what torch.save says of a parameter tells whether it trained. `rank` is what the
    stage's LoRA must have, `language` the base with which embeddings are compared that were in no
    checkpoint before."""
    old = {names.plain(name): name for name in before or {}}
    counts: dict[str, list[int]] = {}
    foreign: list[str] = []
    ranks: set[int] = set()
    base_rows, trained = 0, False
    for name, info in after.items():
        title, size = names.group(name), math.prod(info.shape)
        counted = counts.setdefault(title, [0, 0, 0, 0, 0])
        counted[0] += 1
        counted[1] += size
        counted[4] += size if info.trainable is False else 0
        former = old.pop(names.plain(name), None)
        same = before is not None and former is not None and _same(before, former, after, name)
        if not same:
            counted[3 if former is None else 2] += size
            trained |= title in names.OWN[stage] and info.trainable is not False
            if before is not None and former is not None and title == names.EMBEDDINGS:
                base_rows += sum(
                    1 for _ in differing(before, former, after, name, options.vocabulary)
                )
            elif language is not None and title == names.EMBEDDINGS:
                spans = against_base(language, after, name)
                base_rows += sum(
                    max(0, min(last, options.vocabulary) - first) for first, last in spans
                )
        foreign += _foreign(stage, title, info, former is not None, same)
        if found := names.lora(name):
            ranks.add(info.shape[0] if found[1] == "A" else info.shape[1])
    groups = {
        title: Group(*counts[title]) for title in [*names.GROUPS, names.OTHER] if title in counts
    }
    wrong = [*_shorten(foreign), *_untrained(stage, trained, after, ranks, rank), *_lost(old)]
    if names.EMBEDDINGS not in counts:
        wrong.append(
            "it saved no embeddings, those of its signal tokens are lost: newer transformers than "
            "NExT-GPT's freeze them"
        )
    if base_rows and options.embeddings == "new_rows":
        said = (
            f"it changed {base_rows} rows of the embeddings below {options.vocabulary}, which are "
            "the base model's"
        )
        wrong.append(f"{said} (NExT-GPT's code does; set `embeddings: all` if that is meant)")
    return Report(stage, groups, base_rows, max(ranks, default=0), tuple(wrong))


def _same(before: Weights, former: str, after: Weights, name: str) -> bool:
    one, other = before[former], after[name]
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return all(a == b for a, b in zip(before.blocks(former), after.blocks(name), strict=True))


def _foreign(stage: int, title: str, info: TensorInfo, known: bool, same: bool) -> Iterator[str]:
    if title in names.OWN[stage] or title == names.EMBEDDINGS:
        return
    if title == names.OTHER and not same:
        yield f"it {'changed' if known else 'wrote'} {info.name}, which is {title}"
    elif title == "LoRA" and not known:
        yield f"it wrote {info.name}, a LoRA, which is stage 3's"
    elif known and not same:
        yield f"it changed {info.name} ({title}), which is not its own"
    elif info.trainable:
        # the legacy code saves all projections at every stage, also those that it does not train
        yield f"it had {info.name} ({title}) trainable, which is not its own"


def _untrained(
    stage: int, trained: bool, after: Weights, ranks: set[int], rank: int
) -> Iterator[str]:
    if not trained:
        yield f"it trained nothing: neither {' nor '.join(names.OWN[stage])} was trained"
    elif stage == 3 and not ranks:
        yield "there is no LoRA in its checkpoint"
    # peft starts every lora_B with zeros
    ups = [name for name in after if (found := names.lora(name)) and found[1] == "B"]
    if ups and not any(any(block.strip(b"\0") for block in after.blocks(name)) for name in ups):
        yield f"it did not train its LoRA: all {len(ups)} lora_B are zero"
    if rank and ranks and ranks != {rank}:
        yield f"its LoRA has rank {', '.join(map(str, sorted(ranks)))}, it was asked for {rank}"


def _lost(old: Mapping[str, str]) -> Iterator[str]:
    if lost := [name for name in old.values() if names.group(name) != names.OTHER]:
        yield (
            f"its checkpoint lacks {', '.join(lost[:_SHOWN])}, which the one before had "
            f"({len(lost)} in all)"
        )


def _shorten(found: list[str]) -> list[str]:
    more = len(found) - _SHOWN
    return found if more <= 0 else [*found[:_SHOWN], f"and {more} more of this kind"]
