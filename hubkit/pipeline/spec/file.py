"""From a release.yaml on disk to a Spec: overrides, validation with line numbers, plugin options,
absolute paths."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...errors import PluginError, SpecError, UsageError
from ...files import yaml_text
from ...files.yaml_text import Location
from ...registry.plugins import plugins
from ...sdk import codec
from ...sdk.excerpt import did_you_mean, shown
from .fields import EnvironmentField, PythonEnvironment, environment
from .judging import Ask, Evaluate, Smoke, Variant
from .making import Train
from .messages import problem
from .model import Spec
from .yaml_lines import Document, read

_PLUGIN_SECTIONS = (
    ("data", "dataset", "format"),
    ("train", "trainer", "trainer"),
    ("smoke", "engine", "engine"),
    ("evaluate", "engine", "engine"),
)
_TOLD = 50
"""Problems in one message; the rest are counted."""


def load(path: Path, overrides: Sequence[str] = ()) -> Spec:
    """Reads and validates `path` after applying `overrides` (`train.options.rank=8`; values are
    YAML).

    Raises:
        SpecError: every problem at once, each with its line and the nearest known key.
    """
    document = read(path)
    problems = [f"{path}, {problem}" for problem in document.problems]
    if not isinstance(document.data, dict):
        raise SpecError(
            f"{path}: a release file is a mapping of keys, not {type(document.data).__name__}",
            "see `hubkit init`",
        )
    for override in overrides:
        _override(document, override)
    spec = None
    try:
        spec = Spec.model_validate(document.data)
    except ValidationError as error:
        problems += [_describe(document, dict(item)) for item in error.errors()]
    problems += _plugin_problems(document)
    if spec is not None:
        spec = _absolute(spec, path.resolve().parent)
        problems += _repeated_targets(document, spec)
    if problems or spec is None:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        more = [f"and {len(problems) - _TOLD} more"] if len(problems) > _TOLD else []
        raise SpecError(
            f"{count} in the release file{' and --set' if overrides else ''}:\n"
            + "\n".join(f"  {p}" for p in (*problems[:_TOLD], *more)),
            "correct them; see `hubkit schema`",
        )
    return spec


def _override(document: Document, override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise UsageError(
            f"--set {override}: not of the form key=value",
            "write for example --set train.options.rank=8",
        )
    *parents, last = key.split(".")
    here: Any = document.data
    at: Location = ()
    for part in parents:
        is_number = part.isdecimal() and len(part) <= 9 and isinstance(here, list)
        at = (*at, int(part) if is_number else part)
        if part.isdecimal() and isinstance(here, list):
            if not is_number or int(part) >= len(here):
                raise UsageError(f"--set {key}: there is no item {part}", "count from 0")
            here = here[int(part)]
        elif isinstance(here, dict):
            here = here.setdefault(part, {})
        if not isinstance(here, (dict, list)):
            raise UsageError(
                f"--set {key}: {'.'.join(map(str, at))} is a single value",
                "name one of its siblings",
            )
    try:
        parsed = yaml_text.load(value)
    except ValueError as error:
        raise UsageError(
            f"--set {shown(override)}: the value cannot be used ({error})",
            "quote it for the shell and for YAML",
        ) from None
    if isinstance(here, list):
        raise UsageError(
            f"--set {key}: {'.'.join(map(str, at))} is a list",
            "name an item and its key: publish.0.to=...",
        )
    here[last] = parsed
    document.overridden.append((*at, last))


def _place(document: Document, location: Location) -> str:
    for given in document.overridden:
        if location[: len(given)] == given:
            return f"--set {'.'.join(map(str, given))}"
    line = document.line(location)
    return f"{document.path}, line {line}" if line else f"{document.path}"


def _describe(document: Document, error: dict[str, Any]) -> str:
    location = tuple(part for part in error["loc"] if _is_key(document, part, error["loc"]))
    name = ".".join(map(str, location)) or "the file"
    if error["type"] == "extra_forbidden":
        known = _siblings(location)
        near = did_you_mean(location[-1], known) or f" (known: {', '.join(known)})"
        return f"{_place(document, location)}: unknown key {shown(name)}{near}"
    if error["type"] == "missing":
        return f"{_place(document, location)}: {name!r} is missing"
    return f"{_place(document, location)}: {name}: {problem(error)}"


def _is_key(document: Document, part: str | int, location: Location) -> bool:
    """pydantic adds the names of union members to a location; those are not keys of the file."""
    return isinstance(part, int) or not (
        part in ("int", "float", "text", "PythonEnvironment", "LockedEnvironment")
        or part.startswith(("literal", "function", "nullable"))
    )


def _siblings(location: Location) -> list[str]:
    model: Any = Spec
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        model = next(
            (
                a
                for a in (annotation, *getattr(annotation, "__args__", ()))
                if hasattr(a, "model_fields")
            ),
            None,
        )
        if model is None:
            return []
    return list(model.model_fields)


def _repeated_targets(document: Document, spec: Spec) -> Iterator[str]:
    seen: dict[str, int] = {}
    for index, target in enumerate(spec.publish):
        first = seen.setdefault(target.to, index)
        if first != index:
            line = document.line(("publish", first, "to"))
            where = _place(document, ("publish", index, "to"))
            yield f"{where}: publish.{index}.to is the target of line {line} again"


def _plugin_uses(document: Document) -> Iterator[tuple[Location, str, Any, Location, Any]]:
    """(place of the name, kind, name, place of the options, options) wherever the file names a
    plugin."""
    for section, kind, key in _PLUGIN_SECTIONS:
        part = document.data.get(section, {})
        if isinstance(part, dict):
            default = Spec.model_fields[section].annotation.model_fields[key].default  # type: ignore[union-attr]
            yield (
                (section, key),
                kind,
                part.get(key, default),
                (section, "options"),
                part.get("options", {}),
            )
    smoke = document.data.get("smoke", {})
    for key in ("compare_with", "fallback"):
        if isinstance(smoke, dict) and smoke.get(key):
            yield ("smoke", key), "engine", smoke[key], (), None
    evaluation = document.data.get("evaluate", {})
    metrics = evaluation.get("metrics", ()) if isinstance(evaluation, dict) else ()
    for index, metric in enumerate(metrics if isinstance(metrics, list) else ()):
        yield ("evaluate", "metrics", index), "metric", metric, (), None
    yield from _variant_uses(document.data.get("variants", ()))
    targets = document.data.get("publish", ())
    for index, target in enumerate(targets if isinstance(targets, list) else ()):
        if isinstance(target, dict) and isinstance(target.get("to"), str):
            yield (
                ("publish", index, "to"),
                "hub",
                target["to"],
                ("publish", index, "options"),
                target.get("options", {}),
            )


def _variant_uses(variants: Any) -> Iterator[tuple[Location, str, Any, Location, Any]]:
    for index, variant in enumerate(variants if isinstance(variants, list) else ()):
        if not isinstance(variant, dict):
            continue
        parts = (
            (("variants", index), "exporter", variant, Variant),
            (("variants", index, "ask"), "engine", variant.get("ask", {}), Ask),
        )
        for at, kind, part, model in parts:
            if isinstance(part, dict):
                name = part.get(kind, model.model_fields[kind].default)
                yield (*at, kind), kind, name, (*at, "options"), part.get("options", {})


def _plugin_problems(document: Document) -> list[str]:
    problems = []
    for place, kind, name, options_place, options in _plugin_uses(document):
        if not isinstance(name, str):
            continue  # told by the model
        try:
            plugin = plugins().hub_of(name)[0] if kind == "hub" else plugins().get(kind, name)
        except (UsageError, PluginError) as error:
            problems.append(f"{_place(document, place)}: {error.message} ({error.remedy})")
            continue
        if isinstance(options, Mapping):
            try:
                codec.decode(plugin.Options, options, ".".join(map(str, options_place)))
            except UsageError as error:
                first = next(
                    (
                        key
                        for key in options
                        if key not in {f.name for f in dataclasses.fields(plugin.Options)}
                    ),
                    None,
                )
                problems.append(
                    f"{_place(document, (*options_place, first) if first else options_place)}: "
                    f"{error.message}"
                )
    return problems


def _absolute(spec: Spec, root: Path) -> Spec:
    def below(path: Path) -> Path:
        return path if path.is_absolute() else root / path

    def interpreter(
        section: Train | Smoke | Evaluate | Variant | Ask,
    ) -> dict[str, EnvironmentField]:
        where = environment(section.environment).python
        if where is None or str(where).startswith("~"):
            return {}
        return {"environment": PythonEnvironment(python=below(where))}

    images = below(spec.data.images) if spec.data.images else below(spec.data.path).parent
    base = spec.base.model_copy(
        update={"path": below(spec.base.path), "name": spec.base.name or spec.base.path.name}
    )
    holdout = spec.data.holdout_file and below(spec.data.holdout_file)
    data = spec.data.model_copy(
        update={"path": below(spec.data.path), "images": images, "holdout_file": holdout}
    )
    adapter = {"adapter": spec.train.adapter and below(spec.train.adapter)}
    train = spec.train.model_copy(update={**adapter, **interpreter(spec.train)})
    smoke = spec.smoke.model_copy(update=interpreter(spec.smoke))
    evaluate = spec.evaluate.model_copy(update=interpreter(spec.evaluate))
    variants = tuple(
        one.model_copy(
            update={**interpreter(one), "ask": one.ask.model_copy(update=interpreter(one.ask))}
        )
        for one in spec.variants
    )
    further = tuple(
        more.model_copy(update={"path": below(more.path)}) for more in spec.merge.adapters
    )
    merge = spec.merge.model_copy(update={"adapters": further})
    publish = tuple(
        target.model_copy(update={"to": _absolute_target(target.to, root)})
        for target in spec.publish
    )
    changed = {
        "base": base,
        "data": data,
        "train": train,
        "merge": merge,
        "smoke": smoke,
        "evaluate": evaluate,
        "variants": variants,
        "publish": publish,
    }
    return spec.model_copy(update=changed)


def _absolute_target(to: str, root: Path) -> str:
    """`git:./hub/x.git` is relative to the release file, as every other path in it."""
    scheme, _, target = to.partition(":")
    return f"{scheme}:{(root / target).resolve()}" if target.startswith(("./", "../")) else to
