"""What a release needs, one check each: names, licence, texts, tools, hubs, disk,
environments."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..digests import of_json
from ..environments import health, resolve
from ..errors import EnvironmentFailure, HubkitError, UsageError
from ..home import home
from ..hygiene.search import search_values
from ..inference.servers import address
from ..packaging import card
from ..registry.plugins import plugins
from ..sdk.codec import encode
from ..sdk.excerpt import did_you_mean
from ..weights.check import check_base
from .card_facts import license_of, settings
from .spec.fields import EnvironmentField, environment
from .spec.judging import Evaluate, Smoke
from .spec.making import Train
from .spec.model import Spec
from .stage import Context
from .targets import all_targets

_SLACK = 64 << 20


def check_base_folder(context: Context) -> None:
    author = context.spec.author.email
    if problems := check_base(context.spec.base.path, context.base.family, author):
        listed = "".join(f"\n  {p.where}: {p.message} ({p.remedy})" for p in problems)
        raise UsageError(
            f"the base {context.spec.base.path} is not sound:{listed}",
            "fix it, or download it again",
        )


def check_card(context: Context) -> None:
    spec = context.spec
    base = card.Base(spec.base.name, *license_of(context))
    if problems := card.identity_problems(spec.name, base, [spec.data.title], spec.card.languages):
        raise UsageError(
            "the model card cannot be written: " + "; ".join(problems),
            "correct the named keys of the release file",
        )


def check_placeholders(spec: Spec) -> None:
    """Raises UsageError for what `hubkit init` leaves for people to fill in."""
    said = {
        "author.name": (spec.author.name, "Your Name"),
        "author.email": (spec.author.email, "you@example.org"),
        "data.name": (spec.data.name, "my-food-questions"),
    }
    left = [f"{key}: {value}" for key, (value, placeholder) in said.items() if value == placeholder]
    left += [
        f"publish.{n}.to: {target.to}"
        for n, target in enumerate(spec.publish)
        if target.to.partition(":")[2].startswith("you/")
    ]
    if left:
        raise UsageError(
            f"the release file still has what its template says: {', '.join(left)}",
            "write your own; they are published",
        )


def check_slices(spec: Spec) -> None:
    """Raises UsageError for fields that no record has. What is wrong with the records themselves,
    `prepare` tells."""
    left, known, data = set(spec.evaluate.slices), set[str](), spec.data
    plugin = plugins().get("dataset", data.format)
    for source in filter(None, (data.path, data.holdout_file)) if left else ():
        try:
            for record in plugin.records(source, data.options):
                known |= record.meta.keys()
                left -= known
                if not left:
                    return
        except HubkitError:
            return
    if left:
        named = ", ".join(f"{field!r}{did_you_mean(field, known)}" for field in sorted(left))
        raise UsageError(
            f"evaluate.slices: no record has the field {named}",
            f"fields of the records are: {', '.join(sorted(known)) or 'none'}",
        )


def check_texts(spec: Spec) -> None:
    """What the release file says is published: in the card, the transcript and provenance.json."""
    problems = list(search_values(settings(spec), "release.yaml", spec.author.email))
    if problems:
        listed = "".join(f"\n  {p.where}: {p.message} ({p.remedy})" for p in problems)
        raise UsageError(
            f"the release file holds what may not be published:{listed}",
            "correct the named keys of the release file",
        )


def check_variants(context: Context) -> None:
    """Raises RefusedError for a model that a form has no place for, as far as its configuration
    says so."""
    base = context.base
    config = base.family.native(base.config).config if context.spec.variants else {}
    for variant in context.spec.variants:
        exporter = plugins().get("exporter", variant.exporter)
        try:
            if hasattr(exporter, "check"):
                exporter.check(config, base.vision, variant.options)
        except HubkitError as error:
            error.message = f"variant {variant.name}: {error.message}"
            if not variant.optional:
                raise
            context.run.note(f"{error.message}; it is optional")


def check_charts() -> None:
    """Raises EnvironmentFailure when what draws the card's charts is not installed."""
    from ..packaging.card.figures import require_charts

    require_charts()


def check_hubs(context: Context) -> None:
    found, targets = {}, all_targets(context.spec)
    for to, options in targets:
        hub, place = plugins().hub_of(to)
        if problems := hub.check(place, options):
            found[to] = problems
    if found:
        listed = "".join(
            f"\n  {to}: {p.message} ({p.remedy})"
            for to, problems in found.items()
            for p in problems
        )
        raise EnvironmentFailure(
            f"cannot publish to {len(found)} of {len(targets)} "
            f"hub{'s' if len(targets) > 1 else ''}:{listed}",
            "fix it, or remove it from `publish`",
        )


def disk_needed(context: Context, stages: Sequence[str]) -> int:
    """The bytes that the named stages write. Each writes so many copies of the weights: native
    views for training, smoke and evaluation, the merged model, and with `verify: {deep: true}` a
    download (in LFS storage and work tree) and its native view; each variant at most one."""
    copies = {
        "train": 1,
        "merge": 1,
        "smoke": 1,
        "verify": 3 if context.spec.verify.deep and context.spec.publish else 0,
    }
    further, deep = len(context.spec.variants), copies["verify"] > 0
    copies |= {"variants": further, "verify": copies["verify"] + (2 * further if deep else 0)}
    weights = sum(path.stat().st_size for path in context.spec.base.path.glob("*.safetensors"))
    return weights * sum(copies.get(stage, 0) for stage in stages) + _SLACK


def check_disk(context: Context, stages: Sequence[str]) -> None:
    needed = disk_needed(context, stages)
    place = next(
        p for p in (context.workspace.folder, *context.workspace.folder.parents) if p.exists()
    )
    free = shutil.disk_usage(place).free
    if free < needed:
        raise EnvironmentFailure(
            f"the release needs about {needed / 1e9:,.1f} GB in {place}, and {free / 1e9:,.1f} GB "
            "are free",
            "make room, or give a folder on a larger disk with --workdir",
        )


def check_workers(context: Context, stages: Sequence[str]) -> None:
    """Raises EnvironmentFailure when an environment lacks what the named stages' workers need."""
    spec = context.spec
    uses: dict[str, tuple[str, str, Train | Smoke | Evaluate]] = {
        "train": ("trainer", spec.train.trainer, spec.train),
        "smoke": ("engine", spec.smoke.engine, spec.smoke),
        "evaluate": ("engine", spec.evaluate.engine, spec.evaluate),
    }
    if spec.train.adapter is not None:
        del uses["train"]
    for stage, (kind, name, said) in uses.items():
        try:
            if stage in stages:
                _check_worker(context, kind, name, said.environment, said.options)
        except EnvironmentFailure as error:
            if stage != "smoke" or not spec.smoke.fallback:
                raise
            context.run.note(
                f"{name} cannot run here, so {spec.smoke.fallback} will be asked: {error.message}"
            )
            _check_worker(context, "engine", spec.smoke.fallback)
    if spec.smoke.compare_with and "smoke" in stages:
        _check_worker(context, "engine", spec.smoke.compare_with)
    for variant in spec.variants if "variants" in stages else ():
        ask = variant.ask
        try:
            _check_worker(
                context, "exporter", variant.exporter, variant.environment, variant.options
            )
            _check_worker(context, "engine", ask.engine, ask.environment, ask.options)
        except EnvironmentFailure as error:
            error.message = f"variant {variant.name}: {error.message}"
            if not variant.optional:
                raise
            context.run.note(f"{error.message}; it is optional")


def _check_worker(
    context: Context,
    kind: str,
    name: str,
    field: EnvironmentField = "current",
    options: Mapping[str, Any] | None = None,
) -> None:
    plugin = plugins().get(kind, name)
    if kind == "engine":
        address(name, options or {})
    where = resolve(environment(field), plugin, context.run)
    machine = [platform.node(), os.environ.get("CUDA_VISIBLE_DEVICES", "")]
    state = [kind, name, encode(plugin.requirements), _packages(where.interpreter), machine]
    passed = home() / "health" / of_json([str(where.interpreter), *state])
    if passed.exists():
        return
    with tempfile.TemporaryDirectory(prefix="hubkit-health-") as folder:
        health(plugin, where, Path(folder))
    with suppress(OSError):
        passed.parent.mkdir(parents=True, exist_ok=True)
        passed.touch()


def _packages(interpreter: Path) -> str:
    """Changes when a package is installed or removed: a health check costs seconds, and one that
    passed holds until then."""
    folders = interpreter.parent.parent.glob("lib*/python*/site-packages")
    return " ".join(f"{folder}@{folder.stat().st_mtime_ns}" for folder in sorted(folders))
