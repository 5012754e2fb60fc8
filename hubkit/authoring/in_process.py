"""The lives of the kinds that hubkit calls in its own process: datasets, families, metrics,
hubs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..sdk import testing as drivers
from . import fixtures
from .cases import case_of
from .placement import Undrivable


def life(plugin: Any, module: str, folder: Path) -> str:
    case = case_of(plugin, module, folder / "case")
    if plugin.kind == "dataset":
        read = drivers.check_dataset(
            plugin, case.source, case.count, options=case.options, bad=case.bad
        )
        scanned = "; scanned likewise" if hasattr(plugin, "scan") else ""
        return f"{len(read)} records, {len(case.bad)} bad files refused{scanned}"
    if plugin.kind == "metric":
        drivers.check_metric(plugin, case.scores, bad=case.bad)
        return f"{len(case.scores)} answers scored"
    if plugin.kind == "family":
        return f"{_family(plugin, case)} tensors, each explained once"
    with fixtures.placed(case, folder / "hub") as case:
        job = fixtures.release(folder, case.target, case.options)
        other = fixtures.release(folder, case.target, case.options, extra="other")
        drivers.check_hub(
            plugin, job, folder / "downloads", other=other, bad_target=case.bad_target, whole=True
        )
    return (
        f"{len(job.files)} files published, listed, downloaded; interrupted; repeated; another "
        "release refused; withdrawn"
    )


def _family(plugin: Any, case: Any) -> int:
    more = {"folder": case.folder, "preprocessor": case.preprocessor, "tokens": case.tokens}
    names = {"accepted": case.accepted, "refused": case.refused}
    count = drivers.check_family(plugin, case.config, **names, **more)
    own = json.loads((fixtures.BASE / "config.json").read_text("utf-8"))
    if plugin.recognises(own) and not getattr(plugin, "fallback", False):
        drivers.check_family(plugin, own, **names, folder=fixtures.BASE)
    return count


def assembly(plugin: Any, module: str, folder: Path) -> str:
    case = case_of(plugin, module, folder)
    if case.parts is None:
        raise Undrivable("the case brings no `parts` to assemble")
    drivers.check_family(
        plugin, case.config, accepted=case.accepted, refused=case.refused, parts=case.parts
    )
    made = plugin.assemble(case.parts.llm, case.parts.vision, case.parts.image_token)
    return f"{len(made.tensors)} tensors from the parts, {len(made.fresh)} fresh"
