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
from hubkit.pipeline.given_adapter import files_of, take
from hubkit.sdk import SpecError, UsageError
from hubkit.weights.adapters.formats import FORMATS

WO = "model.language_model.layers.0.self_attn.o_proj"
INTERNVL = "language_model.base_model.model.model.layers.0.attention.wo"
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


def peft_folder(folder: Path, base: Path) -> Path:
    weights, rows = load_file(base / "model.safetensors"), torch.ones(4, 32)
    out = weights["language_model.model.layers.0.attention.wo.weight"]
    tensors = {
        f"base_model.model.{WO}.lora_A.weight": rows[:, :1].repeat(1, out.shape[1]),
        f"base_model.model.{WO}.lora_B.weight": torch.zeros(out.shape[0], 4),
    }
    folder.mkdir(parents=True)
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["o_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


def adapter_of(kind: str, folder: Path, base: Path) -> Path:
    if kind == "xtuner":
        return checkpoint(folder / "iter_8.pth", base)
    if kind == "peft":
        return peft_folder(folder / "peft", base)
    if kind == "xtuner_llava":
        peft_folder(folder / "llava" / "llm_adapter", base)
        return folder / "llava"
    if kind == "minigpt4":
        state = {"llama_proj.weight": torch.ones(4, 2), "llama_proj.bias": torch.ones(4)}
        torch.save({"model": state, "epoch": 3}, folder / "checkpoint_3.pth")
        return folder / "checkpoint_3.pth"
    (folder / "whole").mkdir()
    (folder / "whole" / "config.json").write_text('{"use_llm_lora": 4}')
    tensors = load_file(peft_folder(folder / "peft", base) / "adapter_model.safetensors")
    named = {
        key.removeprefix("base_model.model.").replace(WO, INTERNVL): value
        for key, value in tensors.items()
    }
    save_file(named, folder / "whole" / "model.safetensors")
    return folder / "whole"


@pytest.mark.parametrize("kind", [one.name for one in FORMATS])
def test_a_given_adapter_is_named_by_its_own_format(
    project: Path, tmp_path: Path, kind: str
) -> None:
    adapter = adapter_of(kind, tmp_path, project.parent / "base")
    if adapter.is_dir():
        (adapter / ".env").write_text("TOKEN=abc")
    (tmp_path / "out").mkdir()
    taken = take(adapter, tmp_path / "out")
    assert (taken.format, taken.steps) == (kind, 0)
    kept = tmp_path / "out" / taken.adapter
    names = {path.relative_to(tmp_path / "out").as_posix() for path in files_of(kept)}
    assert (
        names
        == {
            "peft": {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"},
            "xtuner": {"adapter.pth"},
            "minigpt4": {"adapter.pth"},
            "xtuner_llava": {
                "adapter/llm_adapter/adapter_config.json",
                "adapter/llm_adapter/adapter_model.safetensors",
            },
            "internvl_lora": {"adapter/config.json", "adapter/model.safetensors"},
        }[kind]
    )


def test_what_does_not_fit_is_said_before_anything_runs(project: Path) -> None:
    with pytest.raises(SpecError, match=r"publish: adapter is for one adapter"):
        hubkit.plan(project, overrides=["merge.publish=adapter", "merge.adapters=[{path: other}]"])
    with pytest.raises(UsageError, match=r"train.adapter: .*nothing.pth"):
        hubkit.release(project, overrides=["train.adapter=nothing.pth"])
