"""What a stage changed: every tensor of its checkpoint against the one before, by group."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from hubkit.sdk import RefusedError
from hubkit.sdk.checkpoints import Weights

from . import names
from .options import Options

_SHOWN = 8
_REMEDY = "the stage's own requires_grad is wrong, or it loaded other weights: mend the checkout and run this stage again"


@dataclass(frozen=True)
class Group:
    """Tensors and parameters of a group; `changed` parameters lie in tensors that are not what they were, `new` ones in tensors
    that the checkpoint before did not have."""

    tensors: int = 0
    parameters: int = 0
    changed: int = 0
    new: int = 0


@dataclass(frozen=True)
class Report:
    """`groups` by title; `lora_rank` 0 without a LoRA. `wrong` are sentences about what the stage must not have done."""

    stage: int
    groups: dict[str, Group]
    lora_rank: int
    wrong: tuple[str, ...]

    @property
    def trained(self) -> int:
        """Parameters of the stage's own groups in tensors that changed or are new."""
        return sum(group.changed + group.new for title, group in self.groups.items() if title in names.OWN[self.stage])

    @property
    def trainable(self) -> int:
        """Parameters of the stage's own groups."""
        return sum(group.parameters for title, group in self.groups.items() if title in names.OWN[self.stage])

    def refuse(self) -> None:
        """Raises RefusedError when the stage trained nothing, or what is not its own; names the tensors."""
        if self.wrong:
            listed = "".join(f"\n  {one}" for one in self.wrong)
            raise RefusedError(f"stage {self.stage} of NExT-GPT did not do what it is for:{listed}", _REMEDY)


def compare(stage: int, before: Weights | None, after: Weights, options: Options) -> Report:
    """`before` is the checkpoint that the stage began with; None when it began without one."""
    old = {names.plain(name): name for name in before or {}}
    counts: dict[str, list[int]] = {}
    foreign: list[str] = []
    ranks: set[int] = set()
    for name, info in after.items():
        title, size = names.group(name), math.prod(info.shape)
        counted = counts.setdefault(title, [0, 0, 0, 0])
        counted[0] += 1
        counted[1] += size
        former = old.pop(names.plain(name), None)
        same = before is not None and former is not None and _same(before, former, after, name)
        if not same:
            counted[3 if former is None else 2] += size
            foreign += _foreign(stage, before, former, after, name, options)
        if found := names.lora(name):
            ranks.add(info.shape[0] if found[1] == "A" else info.shape[1])
    groups = {title: Group(*counts[title]) for title in [*names.GROUPS, names.OTHER] if title in counts}
    report = Report(stage, groups, max(ranks, default=0), ())
    wrong = [*_shorten(foreign), *_untrained(report, after), *_lost(stage, old), *_ranks(stage, ranks, options)]
    return Report(stage, groups, report.lora_rank, tuple(wrong))


def _same(before: Weights, former: str, after: Weights, name: str) -> bool:
    one, other = before[former], after[name]
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return all(a == b for a, b in zip(before.blocks(former), after.blocks(name), strict=True))


def _foreign(
    stage: int, before: Weights | None, former: str | None, after: Weights, name: str, options: Options
) -> Iterator[str]:
    title = names.group(name)
    if title in names.OWN[stage]:
        return
    what = "changed" if former else "wrote"
    if title == names.OTHER:
        yield f"it {what} {name}, which is {title}"
    elif former is None:
        # the code saves all projections and the embeddings at every stage, also the ones that it does not train
        if title == "LoRA":
            yield f"it wrote {name}, a LoRA, which is stage 3's"
    elif title != "embeddings":
        yield f"it changed {name} ({title}), which is not its own"
    elif options.embeddings == "new_rows" and before is not None:
        rows = (0, min(options.vocabulary, before[former].rows, after[name].rows))
        if before[former].dtype != after[name].dtype or before.read(former, rows) != after.read(name, rows):
            said = "set `embeddings: all` if that is meant"
            yield f"it changed rows of {name} below {options.vocabulary}, which are the base model's ({said})"


def _untrained(report: Report, after: Weights) -> Iterator[str]:
    own = " nor ".join(names.OWN[report.stage])
    if not report.trained:
        yield f"it trained nothing: neither {own} changed"
    elif report.stage == 3 and not report.lora_rank:
        yield "there is no LoRA in its checkpoint"
    # peft starts every lora_B with zeros
    ups = [name for name in after if (found := names.lora(name)) and found[1] == "B"]
    if ups and not any(any(block.strip(b"\0") for block in after.blocks(name)) for name in ups):
        yield f"it did not train its LoRA: all {len(ups)} lora_B are zero"


def _lost(stage: int, old: dict[str, str]) -> Iterator[str]:
    if lost := [name for name in old.values() if names.group(name) != names.OTHER]:
        yield f"its checkpoint lacks {', '.join(lost[:_SHOWN])}, which the one before had ({len(lost)} in all)"


def _ranks(stage: int, ranks: set[int], options: Options) -> Iterator[str]:
    if stage == 3 and ranks and ranks != {options.lora_rank}:
        yield f"its LoRA has rank {', '.join(map(str, sorted(ranks)))}, `lora_rank` says {options.lora_rank}"


def _shorten(found: list[str]) -> list[str]:
    more = len(found) - _SHOWN
    return found if more <= 0 else [*found[:_SHOWN], f"and {more} more of this kind"]
