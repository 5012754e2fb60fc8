"""A release of an adapter that was trained before: nothing is trained, everything else holds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from testing.projects import NAME, make_project

import hubkit
from hubkit.sdk import SpecError, UsageError

WQKV = "language_model.base_model.model.model.layers.0.attention.wqkv"
CONFIGURATION = (
    "model = dict(llm_lora=dict(type='peft.LoraConfig', r=4, lora_alpha=8, lora_dropout=0.05))\n"
)


def checkpoint(path: Path, base: Path) -> Path:
    """An `iter_N.pth` as xtuner writes it: a LoRA on one fused tensor, and the projector."""
    weights = load_file(base / "model.safetensors")
    out, width = weights["language_model.model.layers.0.attention.wqkv.weight"].shape
    draw = torch.Generator().manual_seed(3)
    state = {
        f"model.{WQKV}.lora_A.default.weight": torch.randn(4, width, generator=draw) * 0.01,
        f"model.{WQKV}.lora_B.default.weight": torch.randn(out, 4, generator=draw) * 0.01,
        **{
            f"model.{name}": tensor.clone()
            for name, tensor in weights.items()
            if name.startswith("mlp1.")
        },
    }
    torch.save({"meta": {"cfg": CONFIGURATION}, "state_dict": state}, path)
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    spec = make_project(tmp_path_factory.mktemp("given"), digits)
    checkpoint(spec.parent / "iter_64.pth", spec.parent / "base")
    return spec


@pytest.mark.integration
def test_an_xtuner_checkpoint_is_released_as_an_adapter_that_peft_loads(
    project: Path, tmp_path: Path
) -> None:
    target = f"publish=[{{to: 'git:{project.parent}/hub/{NAME}.git'}}]"
    result = hubkit.release(
        project, overrides=["train.adapter=iter_64.pth", "merge.publish=adapter", target]
    )
    folder = result.folder
    assert folder is not None and hubkit.check(folder) == ()
    assert not list(folder.rglob("*.pth"))
    modules = json.loads((folder / "adapter_config.json").read_text())["target_modules"]
    assert modules == [f"model.language_model.layers.0.self_attn.{part}_proj" for part in "kqv"]
    card = (folder / "README.md").read_text()
    assert (
        "trained before this release" in card
        and "merged, smoke-tested" in card
        and "| rank | `4` |" in card
    )
    assert "iter_64" not in (folder / "provenance.json").read_text()
    direct = hubkit.merge(
        project.parent / "base", project.parent / "iter_64.pth", tmp_path / "direct"
    )
    again = hubkit.merge(project.parent / "base", folder, tmp_path / "again")
    weights = {r.path: r.sha256 for r in direct.files if r.path.endswith(".safetensors")}
    assert weights.items() <= {r.path: r.sha256 for r in again.files}.items()
    (project.parent / "iter_64.pth").touch()
    plan = {
        stage.stage: stage
        for stage in hubkit.plan(project, overrides=["train.adapter=iter_64.pth", target])
    }
    assert plan["train"].state == "cached"


def test_further_adapters_are_merged_in_turn(project: Path, tmp_path: Path) -> None:
    base, weights = project.parent / "base", load_file(project.parent / "base/model.safetensors")
    names = [name for name in weights if name.startswith("mlp1.")]
    peft = tmp_path / "peft"
    peft.mkdir()
    (peft / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "r": 4, "lora_alpha": 4, "modules_to_save": ["mlp1"]}'
    )
    save_file(
        {f"base_model.model.{name}": weights[name] * 2 for name in names},
        peft / "adapter_model.safetensors",
    )
    shutil.copy(project.parent / "iter_64.pth", tmp_path / "first.pth")
    overrides = [
        f"train.adapter={tmp_path / 'first.pth'}",
        f"merge.adapters=[{{path: {peft}, weight: 0.5}}]",
        "publish=[]",
    ]
    result = hubkit.release(project, overrides=overrides, workdir=tmp_path / "work", until="merge")
    found = load_file(next((tmp_path / "work").rglob(f"merge/{NAME}/model.safetensors")))
    for name in names:
        torch.testing.assert_close(
            found[name].float(), weights[name].float() * 1.5, rtol=1e-2, atol=1e-6
        )
    assert [stage.stage for stage in result.stages] == ["prepare", "train", "merge"]
    assert base.is_dir()


def test_what_does_not_fit_is_said_before_anything_runs(project: Path) -> None:
    with pytest.raises(SpecError, match=r"publish: adapter is for one adapter"):
        hubkit.plan(project, overrides=["merge.publish=adapter", "merge.adapters=[{path: other}]"])
    with pytest.raises(UsageError, match=r"train.adapter: .*nothing.pth"):
        hubkit.release(project, overrides=["train.adapter=nothing.pth"])
