"""`hubkit init`: a release file from what is there, that the plan takes as it is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from testing.projects import make_project
from testing.terminal import hubkit as at_terminal

import hubkit
from hubkit.data.recognise import recognise
from hubkit.pipeline.draft import metric
from hubkit.reporting import SilentReporter
from hubkit.sdk import RefusedError, UsageError, WeightsError

AUTHOR = "Ann Lee <ann@example.org>"


class Notes(SilentReporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def place(tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base, digits and no release file; git names nobody."""
    spec = make_project(tmp_path / "shop", digits)
    spec.unlink()
    (spec.parent / "base").rename(spec.parent / "InternVL2-Tiny")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.chdir(spec.parent)
    return spec.parent


def init(**more: Any) -> hubkit.Spec:
    given = {"base": "InternVL2-Tiny", "data": "data/digits.json", "author": AUTHOR, **more}
    return hubkit.load_spec(hubkit.init(**given))


def test_the_file_needs_no_edit(place: Path) -> None:
    notes = Notes()
    spec = init(reporter=notes)
    assert notes.said == []  # all that the plan asks of the file and of this machine
    assert spec.name == "InternVL2-Tiny-digits"
    assert (spec.base.path, spec.base.name) == (place / "InternVL2-Tiny", "InternVL2-Tiny")
    assert (spec.data.format, spec.data.name) == ("llava_json", "digits")
    assert spec.data.images == place / "data" / "images"
    assert (spec.author.name, spec.author.email) == ("Ann Lee", "ann@example.org")
    assert spec.train.adapter is None and spec.evaluate.metrics == ("exact_match",)
    assert spec.publish[0].to == f"git:{place}/hub/InternVL2-Tiny-digits.git"
    assert str(place) not in (place / "release.yaml").read_text()


def test_the_first_place_names_the_release(place: Path) -> None:
    to = ("huggingface:ann/InternVL2-Tiny-Eye", "modelscope:ann/InternVL2-Tiny-Auge")
    spec = init(to=to)
    assert spec.name == "InternVL2-Tiny-Eye"
    assert tuple(target.to for target in spec.publish) == to


def test_git_names_the_author(place: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="missing: --author"):
        init(author="")
    (tmp_path / "gitconfig").write_text("[user]\nname = Bo Yi\nemail = bo@example.org\n")
    assert init(author="").author.email == "bo@example.org"


def test_words_that_yaml_reads_otherwise_stay_texts(place: Path) -> None:
    shutil.move("data/digits.json", "data/1e3.json")
    spec = init(data="data/1e3.json", author="No: <no@example.org>", name="InternVL2-Tiny")
    assert (spec.data.name, spec.author.name) == ("1e3", "No:")


def test_an_adapter_is_looked_into(place: Path, request: pytest.FixtureRequest) -> None:
    import numpy
    from safetensors.numpy import save_file

    adapter = place / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2, "lora_alpha": 4}')
    module = "base_model.model.language_model.model.layers.0.attention.wo"

    def save(width: int) -> None:
        tensors = {f"{module}.lora_A.weight": numpy.ones((2, width), "float32")}
        tensors[f"{module}.lora_B.weight"] = numpy.ones((width, 2), "float32")
        save_file(tensors, adapter / "adapter_model.safetensors")

    save(7)
    with pytest.raises(WeightsError, match="wo"):
        init(adapter=adapter)
    assert not Path("release.yaml").exists()
    save(json.loads(Path("InternVL2-Tiny/config.json").read_text())["llm_config"]["hidden_size"])
    assert init(adapter=adapter).train.adapter == adapter


def test_what_cannot_be_is_refused_and_nothing_is_written(place: Path) -> None:
    with pytest.raises(UsageError, match="no dataset format reads it"):
        init(data="InternVL2-Tiny/config.json")
    with pytest.raises(UsageError, match="no such dataset"):
        init(data="data/digit.json")
    with pytest.raises(RefusedError, match="does not contain 'InternVL'"):
        init(name="tiny")
    with pytest.raises(UsageError, match="names no author"):
        init(author="Ann")
    with pytest.raises(UsageError, match="not a destination"):
        init(to=("hugingface:ann/InternVL2-Tiny-Eye",))
    assert not list(place.glob("*.yaml"))
    Path("release.yaml").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        init()
    assert Path("release.yaml").read_text() == "mine"


def test_a_base_without_a_licence_asks_for_one(place: Path) -> None:
    (place / "InternVL2-Tiny" / "README.md").unlink()
    with pytest.raises(UsageError, match="no licence") as refused:
        init()
    assert "--license mit" in refused.value.remedy
    assert init(license="mit").base.license == "mit"


def test_pictures_are_found_or_asked_for(place: Path, tmp_path: Path) -> None:
    Path("data/images").rename("photos")
    assert recognise(Path("data/digits.json")).images == place / "photos"
    Path("photos").rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="pictures") as refused:
        init()
    assert "--images" in refused.value.remedy
    assert init(images=tmp_path / "elsewhere").data.images == tmp_path / "elsewhere"


def test_prepared_data_keep_their_holdout(place: Path) -> None:
    hubkit.prepare(
        "data/digits.json",
        "ready",
        hubkit.PrepareSettings(images=place / "data" / "images", holdout=4),
    )
    spec = init(data="ready")
    assert spec.data.holdout_file == place / "ready" / "holdout.jsonl"
    assert spec.data.images == place / "data" / "images"


def test_the_mark_for_a_picture_is_no_english(place: Path) -> None:
    data = place / "data" / "digits.json"
    records = json.loads(data.read_text("utf-8"))
    for record in records:
        record["conversations"] = [
            {"from": "human", "value": "<image>\n这是几？"},
            {"from": "gpt", "value": "三"},
        ]
    data.write_text(json.dumps(records), "utf-8")
    assert recognise(data).languages == ("zh",)


def test_answers_choose_the_metric() -> None:
    assert metric(["A", "C"]) == "multiple_choice"
    assert metric(["7", "eight"]) == "exact_match"
    assert metric(["A small cat sleeps on a red sofa, in the sun."]) == "anls"


def test_without_a_terminal_the_missing_options_are_named(place: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hubkit", "init"], capture_output=True, text=True, input=""
    )
    assert done.returncode == 2 and "Missing --base, --data, --author" in done.stderr
    assert not Path("release.yaml").exists()


def test_a_terminal_is_asked_and_each_answer_looked_into(place: Path) -> None:
    with at_terminal("init", cwd=place) as terminal:
        terminal.wait_for("Base model")
        terminal.type("data\n")
        assert "config.json" in terminal.wait_for("Base model")
        terminal.type("InternVL2-Tiny\n")
        for question, answer in (
            ("Dataset", "data/digits.json"),
            ("Adapter", ""),
            ("Author", AUTHOR),
            ("[git:./hub/InternVL2-Tiny-digits.git]", "git:./eye.git"),
            ("contain 'InternVL'", "git:./InternVL2-Tiny-Eye.git"),
        ):
            assert "at work" not in terminal.wait_for(question)
            terminal.type(f"{answer}\n")
        assert "wrote release.yaml" in terminal.rest()
    spec = hubkit.load_spec(Path("release.yaml"))
    assert (spec.name, spec.author.name) == ("InternVL2-Tiny-Eye", "Ann Lee")


def test_ctrl_c_leaves_nothing(place: Path) -> None:
    before = sorted(place.rglob("*"))
    with at_terminal("init", "--base", "InternVL2-Tiny", cwd=place) as terminal:
        terminal.wait_for("Dataset")
        terminal.type("\x03")
        assert "interrupted" in terminal.rest()
        assert terminal.process.returncode == 130
    assert sorted(place.rglob("*")) == before
