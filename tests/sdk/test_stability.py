"""Plugins of an older minor version still load and run."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hubkit.authoring import fixtures
from hubkit.environments import CURRENT, call
from hubkit.registry.entries import GROUP
from hubkit.registry.entry_points import EntryPoint
from hubkit.registry.plugins import Plugins
from hubkit.sdk import SDK_VERSION, SilentRun, read_answers
from hubkit.sdk.testing import (
    check_dataset,
    check_engine,
    check_family,
    check_hub,
    check_metric,
    check_trainer,
)

NAMES = {"dataset": "Lines", "trainer": "Walker", "engine": "Echo", "hub": "Shelf"}
LATER = {"dataset": "Lines", "metric": "Words", "family": "Pair"}


@pytest.fixture(scope="module")
def frozen() -> ModuleType:
    sys.path.insert(0, str(Path(__file__).with_name("frozen")))
    return importlib.import_module("hubkit_frozen_1_0")


@pytest.fixture(scope="module")
def later(frozen: ModuleType) -> ModuleType:
    return importlib.import_module("hubkit_frozen_1_1")


@pytest.fixture
def installed(
    frozen: ModuleType, later: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Plugins:
    monkeypatch.setenv("HUBKIT_HOME", str(tmp_path / "home"))
    named = [(frozen, NAMES), (later, LATER)]
    return Plugins(
        EntryPoint(kind, f"{one.__name__}:{cls}", GROUP)
        for one, names in named
        for kind, cls in names.items()
    )


def test_they_are_usable(installed: Plugins) -> None:
    assert SDK_VERSION not in ("1.0", "1.1")
    found = {(row.kind, row.sdk): row.state for row in installed.rows()}
    assert found == {
        **{(kind, "1.0"): "ok" for kind in NAMES},
        **{(kind, "1.1"): "ok" for kind in LATER},
    }


def test_those_of_1_1(later: ModuleType, tmp_path: Path) -> None:
    source, bad = tmp_path / "lines.txt", tmp_path / "bad.txt"
    source.write_text("one\ttwo\nthree\tfour\n")
    bad.write_text("one\ttwo\nthree\n")
    assert len(check_dataset(later.Lines(), source, 2, bad={bad: "record 1: no answer"})) == 2
    check_metric(later.Words(), [("beef noodles", ["noodles beef"], 1.0), ("rice", ["beef"], 0.0)])
    config = {"model_type": "pair", "rows": 6}
    check_family(
        later.Pair(), config, accepted="me/PairModel-1", refused="Food-Model", tokens={"<img>": 1}
    )


def test_a_dataset_and_a_hub_of_1_0(frozen: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("one\ttwo\nthree\tfour\n")
    assert [
        record.turns[0].answer
        for record in check_dataset(frozen.Lines(), tmp_path / "lines.txt", 2)
    ] == ["two", "four"]
    job = fixtures.release(tmp_path, str(tmp_path / "shelf"), {})
    receipt = check_hub(frozen.Shelf(), job, tmp_path / "downloads", bad_target="nowhere")
    assert receipt.revision == job.commit


def test_a_trainer_and_an_engine_of_1_0_in_a_worker(frozen: ModuleType, tmp_path: Path) -> None:
    training = fixtures.training(tmp_path, {"steps": 3})
    for folder in (training.output, training.scratch):
        folder.mkdir()
    trained = call(
        frozen.Walker(),
        "train",
        training,
        environment=CURRENT,
        run=SilentRun(),
        folder=tmp_path / "log",
    )
    assert (trained.steps, trained.prompt, trained.prompt_ids) == (3, "", ())
    questions = fixtures.questions(tmp_path, {})
    questions.output.mkdir()
    output = call(
        frozen.Echo(),
        "generate",
        questions,
        environment=CURRENT,
        run=SilentRun(),
        folder=tmp_path / "log",
    )
    assert len(list(read_answers(questions.output / output.answers))) == fixtures.RECORDS
    assert (output.prompt_ids, output.numbers) == ((), {})


def test_the_drivers_of_today_pass_them(frozen: ModuleType, tmp_path: Path) -> None:
    assert check_trainer(frozen.Walker(), fixtures.training(tmp_path, {})).steps == 6
    check_engine(frozen.Echo(), fixtures.questions(tmp_path, {}))
