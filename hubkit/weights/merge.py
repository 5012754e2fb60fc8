"""Merging adapters into a base: one pass over the base's tensors, in bounded memory, hashed while
written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.sdk.errors import WeightsError
from hubkit.sdk.family import ModelFamily
from hubkit.sdk.run import Run, SilentRun

from ..files.disk import reflink
from ..files.pointers import refuse_pointers
from .adapters.adapter import Adapter, LoRA
from .adapters.formats import read_adapter
from .arithmetic import Rounding, Step, Workspace, change_rows, require_torch
from .checkpoint import Checkpoint, Shard, torch_dtype
from .companions import carry, carry_index, companion_bytes
from .copies import as_one, check_copies, copied_targets, copies_of, with_copies
from .diagnosis import check_floats, diagnosis, layout_problems
from .expert_steps import Loader
from .experts import Stacks, explained
from .finite import check_finite
from .header import TensorInfo
from .model import Model
from .placement import Edit, alias_targets, place, targets
from .spelling import as_published
from .staging import staged
from .stream import BLOCK, Block, Meter, WrittenFile, digest_file, write_file
from .tying import Tie, still_tied, tie_of, tied_edits
from .untied import Plan, copied, rewritten, untied

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class MergeReport:
    """`files` are all files of the output, by path. `merged` tensors got a low-rank update,
    `replaced` ones were given whole or in part by the adapter, `copied` ones keep their bytes;
    together they are all tensors of the base. `largest_delta` is the largest |change| of an
    element, in the tensor `largest_delta_tensor`."""

    files: tuple[WrittenFile, ...]
    merged: int
    replaced: int
    copied: int
    adapter_keys: int
    largest_delta: float
    largest_delta_tensor: str

    @property
    def summary(self) -> str:
        return (
            f"{self.merged} tensors merged, {self.replaced} replaced, {self.copied} unchanged; "
            f"all {self.adapter_keys} adapter keys used; largest change {self.largest_delta:.3g}"
        )


def merge(
    base: Model,
    adapter: Path | Sequence[tuple[Path, float]],
    out: Path,
    *,
    rounding: Rounding = "once",
    jobs: int = 0,
    run: Run | None = None,
) -> MergeReport:
    """Writes `base` with `adapter` merged into it to the new folder `out`, in the base's own shard
    layout.

    Several adapters are applied in turn, each change multiplied by the weight beside it.
    `jobs` threads do the work; 0 means one for each processor.

    Raises:
        WeightsError: base or adapter do not hold together or do not fit one another; NaN or
            infinity in the result.
        UsageError: a folder lacks a file, or has a Git LFS pointer for one; or `out` is there
            already.
        EnvironmentFailure: the disk is too small, or torch is not installed.
    """
    require_torch()
    refuse_pointers(base.folder)
    with ExitStack() as open_files:
        adapters = []
        for path, weight in [(adapter, 1.0)] if isinstance(adapter, Path) else adapter:
            refuse_pointers(path)
            adapters.append((read_adapter(path), weight))
            open_files.callback(adapters[-1][0].source.close)
        return _merge(base, adapters, out, rounding, jobs, run or SilentRun())


def _merge(
    base: Model,
    adapters: Sequence[tuple[Adapter, float]],
    out: Path,
    rounding: Rounding,
    jobs: int,
    run: Run,
) -> MergeReport:
    family, config = base.family, base.config
    for adapter, _ in adapters:
        _note_base(adapter, base, run)
    with Checkpoint.open(base.folder) as opened:
        weights, layout = check_layout(opened, family, config)
        check_floats(weights.tensors.values())
        tie = tie_of(family, config, layout)
        edits = _place_all(adapters, family, config, layout, tie)
        if tie is not None and still_tied(edits, tie):
            edits.pop(tie.head, None)
            tie = None
        plan = untied(weights, tie) if tie is not None else copied(weights)
        size = sum(sum(t.size for t in h.tensors) + len(h.raw) for h in plan.headers.values())
        with (
            staged(out, size + companion_bytes(base.folder, family, config)) as folder,
            one_torch_thread(),
        ):
            meter = Meter(size, run)
            job = _Merge(weights, plan, edits, rounding, jobs or os.cpu_count() or 1, meter)
            files = [job.write(folder, shard) for shard in weights.shards.values()]
            weights.check_unchanged()
            files += carry_index(base.folder, folder)
            files += carry(base.folder, folder, family, config)
            if tie is not None:
                files = rewritten(folder, files, weights, tie)
                run.note(
                    f"{tie.head} is written: it is no longer the table {tie.table}, and "
                    "tie_word_embeddings is false"
                )
    if not job.largest[0]:
        run.note("the adapter changes nothing: the merged weights are the base's")
    replaced = {
        name for name, found in edits.items() if all(not isinstance(e.delta, LoRA) for e in found)
    }
    return MergeReport(
        files=tuple(sorted(files, key=lambda file: file.path)),
        merged=len(edits) - len(replaced),
        replaced=len(replaced),
        copied=sum(len(header.tensors) for header in plan.headers.values()) - len(edits),
        adapter_keys=sum(len(adapter.source.tensors) for adapter, _ in adapters),
        largest_delta=job.largest[0],
        largest_delta_tensor=job.largest[1],
    )


def _place_all(
    adapters: Sequence[tuple[Adapter, float]],
    family: ModelFamily,
    config: Mapping[str, Any],
    layout: Mapping[str, tuple[int, ...]],
    tie: Tie | None,
) -> dict[str, list[Edit]]:
    copies = copies_of(family, config)
    if tie is not None:
        config, layout = tie.config, {**layout, tie.head: layout[tie.table]}
    known = targets(family.native(config).tensors, layout)
    known |= copied_targets(copies, known)
    other = getattr(family, "aliases", None)
    aliases = alias_targets(other(config), layout) if other else {}
    edits: dict[str, list[Edit]] = {}
    stacks = Stacks(family, config)
    for given, weight in adapters:
        check_floats(given.source.tensors.values())
        adapter, of_experts = explained(given, known, stacks, weight)
        placed = place(adapter, known, weight, aliases, of_experts)
        placed = tied_edits(adapter, placed, tie) if tie else placed
        for name, found in as_one(adapter, placed, copies, layout, tie).items():
            edits.setdefault(name, []).extend(found)
    return edits


def _note_base(adapter: Adapter, base: Model, run: Run) -> None:
    """An adapter that was trained on a merged first stage does not fit the original base, though
    every shape does."""
    named = adapter.base.rstrip("/")
    folder = base.folder.resolve()
    own = {folder.name, str(folder), *folder.parts, str(base.config.get("_name_or_path", ""))}
    if named and not own & {named, Path(named).name, f"models--{named.replace('/', '--')}"}:
        run.note(f"{adapter.name} names the base {named!r}; it is merged into {folder.name}")


def check_fit(base: Model, adapter: Path) -> None:
    """Reads headers alone.

    Raises:
        UsageError: there is no adapter at `adapter`.
        WeightsError: base or adapter do not hold together or do not fit one another.
    """
    refuse_pointers(adapter)
    opened = read_adapter(adapter)
    with opened.source, Checkpoint.open(base.folder) as found:
        _, layout = check_layout(found, base.family, base.config)
        tie = tie_of(base.family, base.config, layout)
        _place_all([(opened, 1.0)], base.family, base.config, layout, tie)


def check_layout(
    weights: Checkpoint, family: ModelFamily, config: Mapping[str, Any]
) -> tuple[Checkpoint, Mapping[str, tuple[int, ...]]]:
    """The weights under their published names, and the layout that config.json asks for.

    Raises:
        WeightsError: tensors that it does not explain, or does and are missing or of another shape.
    """
    layout = family.layout(config)
    weights = as_published(weights, family, layout)
    layout = with_copies(weights, family, config, layout)
    if found := diagnosis(weights, family, config, layout):
        raise WeightsError(f"{weights.folder.name}: {found.message}", found.remedy)
    problems = layout_problems(weights, layout)
    if problems:
        more = f"; and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise WeightsError(
            f"{weights.folder.name}: config.json and the weights disagree: "
            f"{'; '.join(problems[:8])}{more}",
            "take config.json and the weights from the same revision of the base",
        )
    check_copies(weights, family, config)
    return weights, layout


class _Merge:
    """Writes shard after shard; remembers the largest change."""

    def __init__(
        self,
        weights: Checkpoint,
        plan: Plan,
        edits: Mapping[str, list[Edit]],
        rounding: Rounding,
        jobs: int,
        meter: Meter,
    ) -> None:
        self.weights, self.plan, self.edits = weights, plan, edits
        self.rounding, self.jobs, self.meter = rounding, jobs, meter
        self.loader = Loader(rounding)
        self.changes: dict[tuple[str, int], float] = {}
        self.workspace = Workspace()

    @property
    def largest(self) -> tuple[float, str]:
        return max(
            ((change, name) for (name, _), change in self.changes.items()), default=(0.0, "")
        )

    def write(self, folder: Path, shard: Shard) -> WrittenFile:
        header = self.plan.headers[shard.name]
        untouched = header is shard.header and all(
            info.name not in self.edits for info in header.tensors
        )
        how = digest_file if untouched and _cloned(shard, folder) else write_file
        return how(folder, shard.name, header.raw, self._blocks(shard), self.meter, self.jobs)

    def _blocks(self, shard: Shard) -> Iterator[Block]:
        for info in self.plan.headers[shard.name].tensors:
            dtype = torch_dtype(info.dtype, f"{shard.name}: tensor {info.name!r}")
            steps = [self.loader.step(edit, dtype) for edit in self.edits.get(info.name, ())]
            at = self.weights.tensors[self.plan.sources.get(info.name, info.name)].start
            for start, stop in split(info):
                fill = partial(self._fill, shard, info, at, dtype, steps, start)
                yield Block(
                    info.start + start * info.row_size, (stop - start) * info.row_size, fill
                )

    def _fill(
        self,
        shard: Shard,
        info: TensorInfo,
        at: int,
        dtype: torch.dtype,
        steps: Sequence[Step],
        start: int,
        view: memoryview,
    ) -> None:
        import torch

        shard.read_into(view, at + start * info.row_size)
        rows = torch.frombuffer(view, dtype=torch.uint8).view(dtype).view(-1, *info.shape[1:])
        change = change_rows(rows, start, steps, self.rounding, self.workspace)
        check_finite(info.name, change.largest, change.finite)
        if steps:
            self.changes[info.name, start] = change.largest


def _cloned(shard: Shard, folder: Path) -> bool:
    """Whether the file system could make the shard's file in `folder` of the blocks that the base's
    own lies in.

    Never a hard link: the base and the release would then be one file, and editing either would
    change the other.
    """
    target = folder / shard.name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        reflink(shard.path.resolve(), target)
    except OSError:
        target.unlink(missing_ok=True)
        return False
    return True


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Blocks are worked on in parallel, so each by one thread; the sums then do not depend on the
    number of processors."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def split(info: TensorInfo) -> Iterator[tuple[int, int]]:
    """Row ranges of about BLOCK bytes."""
    if not info.size:
        return
    step = max(1, BLOCK // info.row_size)
    for start in range(0, info.rows, step):
        yield start, min(start + step, info.rows)
