"""Merging into another layout than the base's."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

from hubkit.sdk.errors import UsageError
from hubkit.sdk.run import Run, SilentRun

from ..registry.plugins import plugins
from .arithmetic import Rounding
from .convert import to_native
from .merge import MergeReport, merge
from .model import Model

Layout: TypeAlias = Literal["as_base", "official", "hf"]


def merge_as(
    layout: Layout,
    base: Model,
    adapter: Path | Sequence[tuple[Path, float]],
    out: Path,
    *,
    rounding: Rounding = "once",
    jobs: int = 0,
    run: Run | None = None,
) -> MergeReport:
    """`merge`, with the result in `layout`: `hf` is transformers' own, under the names that
    transformers publishes. For it the official layout is written first, beside `out`.

    Raises:
        UsageError: the official layout is asked of a base that has not its code and files.
    """
    if layout == "as_base":
        return merge(base, adapter, out, rounding=rounding, jobs=jobs, run=run)
    if layout == "official" and hasattr(base.family, "converted"):
        raise UsageError(
            f"{base.folder.name} is in transformers' own layout: the official one has code and "
            "files that it has not",
            "give the official folder as the base; adapters of either layout merge into it",
        )
    native = base.family.native(base.config)
    alike = native.config.get("architectures") == base.config.get("architectures")
    if layout != "hf" or alike:
        return merge(base, adapter, out, rounding=rounding, jobs=jobs, run=run)
    family = plugins().family_of(native.config)
    names = {one.name: one.source for one in family.native(native.config).tensors}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as place:
        official = Path(place) / out.name
        report = merge(base, adapter, official, rounding=rounding, jobs=jobs, run=run)
        merged = Model.of(official, base.family)
        made = to_native(merged, out, run or SilentRun(), jobs=jobs, names=names)
    return replace(report, files=made.files)
