"""What each stage depends on: every field of release.yaml, worked out and hashed once."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from testing.projects import NAME, make_project

import hubkit
from hubkit import digests
from hubkit.pipeline import run
from hubkit.pipeline.card_facts import settings
from hubkit.pipeline.spec.file import load
from hubkit.pipeline.spec.model import Spec
from hubkit.pipeline.stage import Context
from hubkit.pipeline.stages import PURPOSES, stage_named
from hubkit.pipeline.workspace import Workspace
from hubkit.reporting import SilentReporter

pytestmark = pytest.mark.xdist_group("released")

_TERM = "[{{term: {}, reason: {}}}]"
_ADAPTER = "merge.adapters=[{{path: {}, weight: {}}}]"

CHANGED: dict[str, str | tuple[str, str]] = {
    "name": "InternVL2-Other",
    "tag": "v2.0.0",
    "seed": "1",
    "author.name": "Ada",
    "author.email": "ada@example.org",
    "base.path": "other-base",
    "base.name": "someone/InternVL2-Other",
    "base.license": "mit",
    "data.format": "foodieqa",
    "data.path": "data/other.json",
    "data.images": "other-base",
    "data.name": "Digits",
    "data.license": "mit",
    "data.holdout": "5",
    "data.holdout_file": "data/other.json",
    "data.group": "image",
    "data.repeat": "2",
    "data.fix": "true",
    "data.accept_terms.0.term": (
        "data.accept_terms=" + _TERM.format("one", "they allowed it"),
        "data.accept_terms=" + _TERM.format("two", "they allowed it"),
    ),
    "data.accept_terms.0.reason": (
        "data.accept_terms=" + _TERM.format("one", "they allowed it"),
        "data.accept_terms=" + _TERM.format("one", "we asked them once"),
    ),
    "data.options": "{ids: index}",
    "train.adapter": f".hubkit/{NAME}/train/adapter",
    "train.trainer": ("train.options={}", "train={trainer: xtuner}"),
    "train.environment": "{python: /usr/bin/python3}",
    "train.options": "{rank: 2}",
    "merge.rounding": "xtuner",
    "merge.publish": "both",
    "merge.layout": "hf",
    "merge.adapters.0.path": (
        _ADAPTER.format(f".hubkit/{NAME}/train/adapter", 1),
        _ADAPTER.format("other-adapter", 1),
    ),
    "merge.adapters.0.weight": (
        _ADAPTER.format(f".hubkit/{NAME}/train/adapter", 1),
        _ADAPTER.format(f".hubkit/{NAME}/train/adapter", 0.5),
    ),
    "smoke.engine": "lmdeploy",
    "smoke.environment": "{python: /usr/bin/python3}",
    "smoke.options": "{batch_size: 2}",
    "smoke.images": "2",
    "smoke.prompts": "['Which digit?']",
    "smoke.prompt_differs": "the server adds a system line",
    "smoke.max_new_tokens": "8",
    "smoke.compare_with": "lmdeploy",
    "smoke.tolerance": "0.1",
    "smoke.fallback": "lmdeploy",
    "evaluate.engine": "lmdeploy",
    "evaluate.environment": "{python: /usr/bin/python3}",
    "evaluate.options": "{batch_size: 2}",
    "evaluate.metrics": "[contains]",
    "evaluate.require": "{exact_match: '>= 0'}",
    "evaluate.slices": "[label]",
    "evaluate.limit": "3",
    "evaluate.max_new_tokens": "8",
    "variants.0.name": ("variants=[{name: Q8}]", "variants=[{name: GGUF}]"),
    **{
        f"variants.0.{key}": ("variants=[{name: GGUF}]", f"variants=[{{name: GGUF, {told}}}]")
        for key, told in {
            "environment": "environment: {python: /usr/bin/python3}",
            "options": "options: {type: q8_0}",
            "ask.engine": "ask: {engine: transformers}",
            "ask.environment": "ask: {environment: {python: /usr/bin/python3}}",
            "ask.options": "ask: {options: {threads: 1}}",
            "require": "require: {drop: '<= 2 %'}",
            "optional": "optional: true",
            "publish": "publish: within",
        }.items()
    },
    "card.title": "A title",
    "card.summary": "It reads digits.",
    "card.intended_use": "Reading digits.",
    "card.limits": "Only single digits.",
    "card.languages": "[zh]",
    "card.samples": "2",
    "publish.0.to": f"git:./elsewhere/{NAME}.git",
    "publish.0.options": "{branch: release}",
    "verify.deep": "false",
}
"""A value that must make some stage run again, or what is set before and after."""

_FORM = "variants=[{name: GGUF}]"
FREE: dict[str, tuple[str, ...]] = {
    "train.deadline": ("3", "how long a stage may take is not what it gives"),
    "smoke.deadline": ("3", "how long a stage may take is not what it gives"),
    "evaluate.deadline": ("3", "how long a stage may take is not what it gives"),
    "evaluate.processes": ("2", "who answers is not what is answered"),
    "variants.0.ask.processes": (
        "variants=[{name: GGUF, ask: {processes: 2}}]",
        "who answers is not what is answered",
        _FORM,
    ),
    **{
        f"{part}where": ("{scheduler: slurm, gpus: 1}", "where it runs is not what it gives")
        for part in ("", "train.", "smoke.", "evaluate.")
    },
    "variants.0.deadline": (
        "variants=[{name: GGUF, deadline: 3}]",
        "how long a stage may take is not what it gives",
        _FORM,
    ),
    "variants.0.ask.deadline": (
        "variants=[{name: GGUF, ask: {deadline: 3}}]",
        "how long a stage may take is not what it gives",
        _FORM,
    ),
    "upload.parallel": ("3", "how it is sent is not what is sent"),
    "upload.connections": ("3", "how it is sent is not what is sent"),
    "upload.max_mb_per_second": ("3.0", "how it is sent is not what is sent"),
    **{
        f"notify.0.{field}": (f"notify=[{told}]", "who is told is not what is told")
        for field, told in {
            "command": "{command: [cat]}",
            "env": "{command: [cat], env: [LANG]}",
            "webhook": "{webhook: 'https://example.org'}",
            "webhook_env": "{webhook_env: HOOK}",
            "stages": "{command: [cat], stages: [train]}",
            "states": "{command: [cat], states: [failed]}",
        }.items()
    },
}
"""A value that must make no stage run again, or a whole setting, why, and what is set before."""

ONE_PLUGIN = ("variants.0.exporter",)
"""There is no other that the release file could name."""

NOT_MADE = ("author.", "publish.", "upload.", "verify.")
"""Sections that do not make the release: they are not in provenance.json."""


def fields(model: type[BaseModel], at: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        inner = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
        if inner is None or name in ("environment", "where"):
            yield at + name
        else:
            yield from fields(inner, f"{at}{name}." + ("" if inner is kinds[0] else "0."))


def test_every_field_has_been_thought_of() -> None:
    assert sorted(fields(Spec)) == sorted([*CHANGED, *FREE, *ONE_PLUGIN])


@pytest.fixture(scope="module")
def release_file(released: tuple[Path, hubkit.ReleaseResult]) -> Path:
    """With the files that CHANGED names beside it."""
    folder = released[0].parent
    shutil.copytree(folder / "base", folder / "other-base")
    (folder / "other-base" / "generation_config.json").write_text('{"eos_token_id": 2}')
    (folder / "data" / "other.json").write_text("[]")
    sealed = folder / ".hubkit" / NAME / "train" / "adapter"
    shutil.copytree(sealed, folder / "other-adapter")
    (folder / "other-adapter" / "README.md").write_text("another")
    return released[0]


def context(release_file: Path, *overrides: str) -> Context:
    workspace = Workspace(release_file.parent, NAME)
    return Context(load(release_file, overrides), workspace, SilentReporter())


def setting(field: str, values: Mapping[str, str | tuple[str, ...]]) -> str:
    value = values[field]
    value = value if isinstance(value, str) else value[0]
    return value if "=" in value else f"{field}={value}"


def differs(one: Context, other: Context) -> bool:
    names = run.NAMES
    if one.spec.variants:  # none is made here: what is published of them cannot be told
        names = tuple(PURPOSES)[: list(PURPOSES).index("publish")]
    return any(one.inputs(stage) != other.inputs(stage) for stage in map(stage_named, names))


@pytest.mark.parametrize("field", CHANGED)
def test_a_changed_field_makes_some_stage_run_again(release_file: Path, field: str) -> None:
    value = CHANGED[field]
    before, after = ((), f"{field}={value}") if isinstance(value, str) else (value[:1], value[1])
    assert differs(context(release_file, *before), context(release_file, after))


@pytest.mark.parametrize("field", FREE)
def test_a_free_field_makes_none(release_file: Path, field: str) -> None:
    before = context(release_file, *FREE[field][2:])
    assert not differs(before, context(release_file, setting(field, FREE)))


def test_provenance_has_no_setting_that_does_not_make_the_release(release_file: Path) -> None:
    for field in fields(Spec):
        if field in FREE or field.startswith(NOT_MADE):
            before = settings(load(release_file, FREE[field][2:] if field in FREE else ()))
            given = setting(field, FREE if field in FREE else CHANGED)
            assert settings(load(release_file, [given])) == before, field


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ("current", "current"),
        ("locked", "locked"),
        ("{locked: cpu}", {"locked": "cpu"}),
        ("{python: /usr/bin/python3}", "named by the user"),
    ],
)
def test_provenance_names_an_environment_but_no_path(
    release_file: Path, environment: str, said: Any
) -> None:
    for stage in ("train", "smoke", "evaluate"):
        spec = load(release_file, [f"{stage}.environment={environment}"])
        assert settings(spec)[stage]["environment"] == said


def test_a_renamed_dataset_is_renamed_on_the_card(release_file: Path) -> None:
    """Without `data.name` its file names it."""
    renamed = release_file.parent / "data" / "numbers.json"
    shutil.copy2(release_file.parent / "data" / "digits.json", renamed)
    one, other = context(release_file), context(release_file, "data.path=data/numbers.json")
    package = stage_named("package")
    assert (one.spec.data.title, other.spec.data.title) == ("digits", "numbers")
    assert one.inputs(package) != other.inputs(package)


def test_a_stray_in_the_base_makes_no_stage_run_again(
    released: tuple[Path, hubkit.ReleaseResult],
) -> None:
    (released[0].parent / "base" / ".env").write_text("TOKEN=xyz")
    assert {plan.state for plan in hubkit.plan(released[0])} == {"cached"}


def test_a_changed_base_is_hashed_once_and_inputs_are_worked_out_once(
    tmp_path: Path,
    released: tuple[Path, hubkit.ReleaseResult],
    digits: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = make_project(tmp_path / "project", digits)
    adapter = released[0].parent / ".hubkit" / NAME / "train" / "adapter"
    overrides = [f"train.adapter={adapter}"]
    hubkit.release(spec, overrides=overrides, until="merge")
    weights = spec.parent / "base" / "model.safetensors"
    with weights.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\0")
    hashed: Counter[str] = Counter()
    sealed: list[str] = []
    asked: Counter[tuple[str, int]] = Counter()
    original, seal = digests.sha256, Context.seal

    def counted(path: Path) -> str:
        hashed[path.name if path.parent == weights.parent else str(path)] += 1
        return original(path)

    def counting(stage: Any) -> Any:
        def inputs(context: Context) -> dict[str, str]:
            asked[stage.name, len(sealed)] += 1
            return stage.inputs(context)

        return dataclasses.replace(stage, inputs=inputs)

    def sealing(self: Context, stage: Any, *more: Any) -> None:
        seal(self, stage, *more)
        sealed.append(stage.name)

    monkeypatch.setattr(digests, "sha256", counted)
    monkeypatch.setattr(run, "stage_named", lambda name: counting(stage_named(name)))
    monkeypatch.setattr(Context, "seal", sealing)
    states = [p.state for p in hubkit.plan(spec, overrides=overrides, until="merge")]
    assert states == ["cached", "run", "depends"]
    assert hashed == {"model.safetensors": 1}
    asked.clear()
    hubkit.release(spec, overrides=overrides, until="merge")
    assert hashed["model.safetensors"] == 1 and max(hashed.values()) == 1
    assert sealed == ["train", "merge"]
    assert max(asked.values()) == 1
