"""What a release publishes: the merged model, the adapter, or both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from testing.projects import NAME, make_project

import hubkit

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("variants")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    return make_project(tmp_path_factory.mktemp("variants"), digits)


def released(spec: Path, what: str, tag: str) -> hubkit.ReleaseResult:
    to = f"publish=[{{to: 'git:{spec.parent}/hub-{what}/{NAME}.git'}}]"
    return hubkit.release(spec, overrides=[f"merge.publish={what}", f"tag={tag}", to])


def test_the_adapter_alone(project: Path) -> None:
    """The download is merged into the base and asked, as its users would."""
    result = released(project, "adapter", "v1.0.0")
    folder = result.folder
    assert folder is not None and hubkit.check(folder) == ()
    names = {file["path"] for file in json.loads((folder / "manifest.json").read_text())["files"]}
    assert {
        "adapter_config.json",
        "adapter_model.safetensors",
        "README.md",
        "provenance.json",
    } <= names
    assert not {"config.json", "model.safetensors", "modeling_internvl_chat.py"} & names
    assert (
        json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
        == "hubkit/InternVL2-Tiny"
    )
    card = (folder / "README.md").read_text()
    assert "library_name: peft" in card and "base_model_relation: adapter" in card
    assert f"hubkit merge BASE {NAME} MODEL" in card and "adapter_model.safetensors" in card
    assert result.verified[0].deep and result.verified[0].transcript[0].answers


def test_both(project: Path) -> None:
    """Only what depends on the variant is made again; the adapter merges to the very model beside
    it."""
    result = released(project, "both", "v1.0.1")
    assert [stage.stage for stage in result.stages if stage.cached] == [
        "prepare",
        "train",
        "merge",
        "smoke",
        "evaluate",
    ]
    folder = result.folder
    assert folder is not None and hubkit.check(folder) == ()
    report = hubkit.merge(project.parent / "base", folder / "adapter", project.parent / "merged")
    assert report.adapter_keys == len(load_file(folder / "adapter/adapter_model.safetensors"))
    assert (project.parent / "merged/model.safetensors").read_bytes() == (
        folder / "model.safetensors"
    ).read_bytes()
    assert "### Adapter" in (folder / "README.md").read_text()
    assert result.verified[0].deep and result.verified[0].transcript[0].answers
