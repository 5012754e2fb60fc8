"""`plan` and `release` tell all that is in the way of a release in one message, before anything is
run or written."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from testing.projects import NAME

import hubkit
from hubkit.__main__ import run
from hubkit.errors import EnvironmentFailure, RefusedError, UsageError
from hubkit.pipeline.requirements import check_variants
from hubkit.pipeline.stage import Context
from hubkit.pipeline.workspace import Workspace
from hubkit.reporting import SilentReporter


def change(project: Path, **sections: Any) -> None:
    said = yaml.safe_load(project.read_text("utf-8"))
    for name, value in sections.items():
        said[name] = {**said[name], **value} if isinstance(said.get(name), dict) else value
    project.write_text(yaml.safe_dump(said, sort_keys=False), "utf-8")


def told(*arguments: str) -> tuple[int, dict[str, Any]]:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        code = run([*arguments, "--json"])
    return code, json.loads(out.getvalue().splitlines()[-1])


@pytest.mark.parametrize("verb", [("plan",), ("release", "--dry-run")])
def test_everything_at_once(project: Path, verb: tuple[str, ...]) -> None:
    (project.parent / "base" / "README.md").unlink()
    (project.parent / "file").write_text("in the way")
    change(
        project,
        name="Food-Model",
        author={"name": "Your Name", "email": "you@example.org"},
        smoke={"engine": "lmdeploy"},
        evaluate={"slices": ["quesion_type"]},
        card={"summary": "ask somebody@engines.org"},
        publish=[{"to": "git:./file/InternVL2-X.git"}],
    )
    code, error = told(verb[0], str(project), *verb[1:])
    first, *lines = error["message"].splitlines()
    assert first.endswith("things are in the way of this release:") and code == error["exit_code"]
    text = "\n".join(lines)
    for words in (
        "evaluate.slices: no record has the field 'quesion_type'",
        "repository name 'Food-Model'",
        "base.license",
        "author.name: Your Name, author.email: you@example.org",
        "card.summary: an e-mail address",
        "cannot publish to 1 of 1 hub:",
        "engine lmdeploy cannot run",
    ):
        assert words in text, words
    assert not (project.parent / ".hubkit").exists()


def test_missing_paths_hide_nothing_else(project: Path) -> None:
    change(project, base={"path": "bse"}, author={"name": "Your Name", "email": "a@engines.org"})
    for ask in (hubkit.release, hubkit.foresee):
        with pytest.raises(UsageError, match="2 things are in the way") as caught:
            ask(project)
        assert "base.path: " in caught.value.message and "Your Name" in caught.value.message
        assert "bse" in caught.value.message


def test_a_sound_project_is_planned(project: Path) -> None:
    code, last = told("plan", str(project), "--until", "merge")
    assert (code, last["stage"], last["state"]) == (0, "merge", "run")
    assert not (project.parent / ".hubkit").exists()


def test_a_form_that_has_no_place_for_the_model(project: Path) -> None:
    path = project.parent / "base" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"select_layer": -2}))

    def check(**variant: Any) -> None:
        change(project, variants=[{"name": "GGUF", **variant}])
        spec = hubkit.load_spec(project)
        check_variants(Context(spec, Workspace(project.parent, spec.name), SilentReporter()))

    with pytest.raises(RefusedError, match=r"variant GGUF: .* vision_feature_layer is -2, not -1"):
        check()
    check(optional=True)


def test_charts_that_cannot_be_drawn_are_told_before_anything_is_trained(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hubkit.packaging.card.figures.find_spec", lambda name: None)
    with pytest.raises(EnvironmentFailure, match="charts need matplotlib") as caught:
        hubkit.release(project)
    assert "[weights]" in caught.value.remedy
    assert not (project.parent / ".hubkit" / NAME / "prepare").exists()
