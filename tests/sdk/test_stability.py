"""Plugins of an older minor version still load and run."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from hubkit.authoring import _tiny
from hubkit.environments import CURRENT, call
from hubkit.registry import GROUP, Plugins, load
from hubkit.sdk import SDK_VERSION, SilentRun, read_answers
from hubkit.sdk.testing import check_dataset, check_engine, check_hub, check_trainer

NAMES = {"dataset": "Lines", "trainer": "Walker", "engine": "Echo", "hub": "Shelf"}


@pytest.fixture(scope="module")
def frozen() -> ModuleType:
    sys.path.insert(0, str(Path(__file__).with_name("frozen")))
    return importlib.import_module("hubkit_frozen_1_0")


@pytest.fixture
def installed(frozen: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Plugins:
    monkeypatch.setenv("HUBKIT_HOME", str(tmp_path / "home"))
    return load(EntryPoint(name, f"{frozen.__name__}:{cls}", GROUP) for name, cls in NAMES.items())


def test_they_are_usable(installed: Plugins) -> None:
    assert SDK_VERSION != "1.0"
    assert {row.kind: (row.state, row.sdk) for row in installed.rows()} == dict.fromkeys(NAMES, ("ok", "1.0"))


def test_a_dataset_and_a_hub_of_1_0(frozen: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("one\ttwo\nthree\tfour\n")
    assert [record.turns[0].answer for record in check_dataset(frozen.Lines(), tmp_path / "lines.txt", 2)] == ["two", "four"]
    job = _tiny.release(tmp_path, str(tmp_path / "shelf"), {})
    receipt = check_hub(frozen.Shelf(), job, tmp_path / "downloads", bad_target="nowhere")
    assert receipt.revision == job.commit


def test_a_trainer_and_an_engine_of_1_0_in_a_worker(frozen: ModuleType, tmp_path: Path) -> None:
    training = _tiny.training(tmp_path, {"steps": 3})
    for folder in (training.output, training.scratch):
        folder.mkdir()
    trained = call(frozen.Walker(), "train", training, environment=CURRENT, run=SilentRun(), folder=tmp_path / "log")
    assert (trained.steps, trained.prompt, trained.prompt_ids) == (3, "", ())
    questions = _tiny.questions(tmp_path, {})
    questions.output.mkdir()
    output = call(frozen.Echo(), "generate", questions, environment=CURRENT, run=SilentRun(), folder=tmp_path / "log")
    assert len(list(read_answers(questions.output / output.answers))) == _tiny.RECORDS
    assert (output.prompt_ids, output.numbers) == ((), {})


def test_the_drivers_of_today_pass_them(frozen: ModuleType, tmp_path: Path) -> None:
    assert check_trainer(frozen.Walker(), _tiny.training(tmp_path, {})).steps == 6
    check_engine(frozen.Echo(), _tiny.questions(tmp_path, {}))
