"""The smoke test's other engines: one in the place of an engine that cannot run here, and one to
compare answers with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from testing.projects import NAME, make_project

import hubkit
from hubkit.errors import EnvironmentFailure, RefusedError, SpecError
from hubkit.inference.engines import Compared, compare

SAID = [
    ("7, turn 1", "3", "3"),
    ("7, turn 2", "odd", "odd"),
    ("9, turn 1", "4", "9"),
    ("9, turn 2", "even", "odd"),
]


def test_answers_that_differ_are_shown() -> None:
    with pytest.raises(
        RefusedError, match="lmdeploy and transformers answer 2 of 4 questions differently"
    ) as refused:
        compare("lmdeploy", "transformers", SAID, 0.25)
    assert "9, turn 1: '4', and '9'" in refused.value.message
    assert "9, turn 2: 'even', and 'odd'" in refused.value.message


def test_within_the_tolerance_they_are_counted() -> None:
    assert compare("lmdeploy", "transformers", SAID, 0.5) == Compared("transformers", 4, 2)
    assert compare("lmdeploy", "transformers", SAID[:2], 0.0) == Compared("transformers", 2, 0)


def test_engines_that_do_not_exist_are_found_in_the_release_file(
    digits: Path, tmp_path: Path
) -> None:
    spec = make_project(tmp_path / "project", digits, records=1)
    text = spec.read_text("utf-8").replace(
        "smoke:\n", "smoke:\n  fallback: transformer\n  compare_with: lmdeploi\n"
    )
    spec.write_text(text, "utf-8")
    with pytest.raises(SpecError) as refused:
        hubkit.plan(spec)
    lines = text.splitlines()
    for key, name in (("fallback", "transformer"), ("compare_with", "lmdeploi")):
        number = lines.index(f"  {key}: {name}") + 1
        assert f"line {number}: there is no engine {name!r}" in refused.value.message


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU: LMDeploy may run here")
    return make_project(tmp_path_factory.mktemp("engines"), digits)


@pytest.mark.integration
@pytest.mark.xdist_group("engines")
def test_without_a_fallback_the_release_stops_before_any_work(project: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="engine lmdeploy cannot run in"):
        hubkit.release(project, overrides=["smoke.engine=lmdeploy"])
    assert not list(project.parent.glob(".hubkit/*/train"))


@pytest.mark.integration
@pytest.mark.xdist_group("engines")
def test_the_fallback_answers_and_the_card_says_so(project: Path) -> None:
    result = hubkit.release(
        project,
        overrides=[
            "smoke.engine=lmdeploy",
            "smoke.fallback=transformers",
            "smoke.compare_with=transformers",
        ],
    )
    assert result.folder is not None
    card = (result.folder / "README.md").read_text("utf-8")
    assert "**`lmdeploy` was not run**" in card and "loaded by `transformers`" in card
    assert "**未运行 `lmdeploy`**" in (result.folder / "README.zh-CN.md").read_text("utf-8")
    settings = json.loads((result.folder / "provenance.json").read_text("utf-8"))["settings"]
    assert (settings["smoke"]["engine"], settings["smoke"]["fallback"]) == (
        "lmdeploy",
        "transformers",
    )
    assert result.verified[0].deep and result.verified[0].transcript[0].answers
    assert NAME in str(result.folder)
