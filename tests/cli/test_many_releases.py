"""Several release files in one command; how they run is in tests/pipeline/test_machines.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from testing.projects import RELEASE

from hubkit.__main__ import run
from hubkit.pipeline.many import Outcome


def test_a_file_that_is_named_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "release.yaml"
    spec.write_text(RELEASE, "utf-8")
    same = tmp_path / "elsewhere" / ".." / "release.yaml"
    (tmp_path / "elsewhere").mkdir()
    assert run(["release", str(spec), str(same)]) == 2
    assert "a release file is named twice" in capsys.readouterr().err


def test_a_bad_file_is_told_before_any_release_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, more in (("a", ""), ("b", "colour: red\n")):
        (tmp_path / f"{name}.yaml").write_text(RELEASE + more, "utf-8")
    assert run(["release", str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]) == 2
    assert re.search(r"b.yaml, line \d+: unknown key 'colour'", capsys.readouterr().err)
    assert not (tmp_path / ".hubkit").exists()


def test_options_that_are_for_one_release(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["release", "a.yaml", "b.yaml", "--dry-run"]) == 2
    assert "--dry-run, --join and --workdir are for one release file" in capsys.readouterr().err


def test_the_report(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    score = {"exact_match": (0.305, 0.96)}
    done = Outcome(Path("food.yaml"), "food", "done", 0, score, ("https://hub/food",))
    failed = Outcome(Path("cars.yaml"), "cars", "failed", 3, message="below", remedy="train on")
    monkeypatch.setattr("hubkit.api.release.release_each", lambda *_, **__: (done, failed))
    assert run(["release", "food.yaml", "cars.yaml"]) == 3
    shown = capsys.readouterr().out
    assert "1 of 2 releases are done" in shown
    assert "exact_match 30.5% -> 96.0%" in shown
    assert "https://hub/food" in shown
    assert "cars: train on" in shown
