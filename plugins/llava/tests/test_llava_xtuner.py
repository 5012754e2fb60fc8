"""XTuner's LLaVA checkpoints, merged: against the arithmetic done by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

import hubkit
from hubkit.sdk import WeightsError

CFG = """\
model = dict(
    freeze_llm=True,
    llm_lora=dict(lora_alpha=8, r=4, target_modules=None, type='peft.LoraConfig'),
    visual_encoder_lora=dict(lora_alpha=2, r=2, type='peft.LoraConfig'),
    type='xtuner.model.LLaVAModel')
"""
TOWER = "vision_model.encoder.layers.0.self_attn.q_proj"


def _numbers(llm: str, rows: int) -> dict[str, Any]:
    """(llm LoRA, tower LoRA, projector) as xtuner names them within each part."""
    import torch

    generator = torch.Generator().manual_seed(5)
    draw = lambda *shape: torch.randn(shape, generator=generator)  # noqa: E731
    return {
        "llm": {f"{llm}.lora_A.X": draw(4, 32), f"{llm}.lora_B.X": draw(rows, 4)},
        "visual_encoder": {f"{TOWER}.lora_A.X": draw(2, 24), f"{TOWER}.lora_B.X": draw(24, 2)},
        "projector": {
            **{"model.0.weight": draw(32, 24), "model.0.bias": draw(32)},
            **{"model.2.weight": draw(32, 32), "model.2.bias": draw(32)},
        },
    }


def _pth(path: Path, numbers: dict[str, Any]) -> Path:
    import torch

    state = {f"projector.{key}": value for key, value in numbers["projector"].items()}
    for part in ("llm", "visual_encoder"):
        own = {
            key.replace(".X", ".default.weight"): value
            for key, value in numbers.get(part, {}).items()
        }
        state |= {f"{part}.base_model.model.{key}": value for key, value in own.items()}
    torch.save({"state_dict": state, "meta": {"cfg": CFG, "iter": 7}}, path)
    return path


def _folders(folder: Path, numbers: dict[str, Any]) -> Path:
    for part, rank, alpha in (("llm", 4, 8), ("visual_encoder", 2, 2)):
        out = folder / f"{part}_adapter"
        out.mkdir(parents=True)
        config = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "target_modules": ["x"]}
        (out / "adapter_config.json").write_text(json.dumps(config), "utf-8")
        own = {
            f"base_model.model.{key.replace('.X', '.weight')}": value
            for key, value in numbers[part].items()
        }
        save_file(own, out / "adapter_model.safetensors")
    (folder / "projector").mkdir()
    save_file(numbers["projector"], folder / "projector" / "model.safetensors")
    (folder / "xtuner_config.py").write_text(CFG, "utf-8")
    return folder


def test_a_checkpoint_and_its_folders_merge_to_the_same_model(base: Path, tmp_path: Path) -> None:
    numbers = _numbers("model.layers.1.self_attn.q_proj", 32)
    report = hubkit.merge(base, _pth(tmp_path / "iter_7.pth", numbers), tmp_path / "one")
    hubkit.merge(base, _folders(tmp_path / "hf", numbers), tmp_path / "two")
    assert (report.merged, report.replaced, report.adapter_keys) == (2, 4, 8)
    one, two, before = (
        load_file(folder / "model.safetensors")
        for folder in (tmp_path / "one", tmp_path / "two", base)
    )
    assert all(one[name].equal(two[name]) for name in before)
    changed = {name for name in before if not one[name].equal(before[name])}
    q, tower = "language_model.model.layers.1.self_attn.q_proj", f"vision_tower.{TOWER}"
    assert changed == {f"{q}.weight", f"{tower}.weight"} | {
        f"multi_modal_projector.linear_{n}.{kind}" for n in "12" for kind in ("weight", "bias")
    }
    for name, part, scale in ((q, "llm", 2.0), (tower, "visual_encoder", 1.0)):
        a, b = numbers[part].values()
        assert (
            one[f"{name}.weight"] - (before[f"{name}.weight"] + scale * b @ a)
        ).abs().max() < 1e-5
    assert one["multi_modal_projector.linear_2.weight"].equal(
        numbers["projector"]["model.2.weight"]
    )


def test_a_lora_on_internlm2s_wqkv_lands_on_llamas_three(base: Path, tmp_path: Path) -> None:
    """The rows of its update go where the rows of the weight went."""
    numbers = _numbers("model.layers.0.attention.wqkv", 64)
    report = hubkit.merge(base, _pth(tmp_path / "iter_7.pth", numbers), tmp_path / "out")
    assert report.merged == 4
    a, b = numbers["llm"].values()
    update = (2.0 * b @ a).view(2, 4, 8, 32)
    cut = {"q": update[:, :2], "k": update[:, 2:3], "v": update[:, 3:]}
    before, after = (
        load_file(base / "model.safetensors"),
        load_file(tmp_path / "out" / "model.safetensors"),
    )
    for one, change in cut.items():
        name = f"language_model.model.layers.0.self_attn.{one}_proj.weight"
        assert (after[name] - before[name] - change.reshape(-1, 32)).abs().max() < 1e-5


def test_the_projector_of_the_first_stage_alone(base: Path, tmp_path: Path) -> None:
    numbers = {"projector": _numbers("model.layers.0.self_attn.q_proj", 32)["projector"]}
    report = hubkit.merge(base, _pth(tmp_path / "iter_7.pth", numbers), tmp_path / "out")
    assert (report.merged, report.replaced) == (0, 4)


def test_a_key_without_a_place_is_named(base: Path, tmp_path: Path) -> None:
    path = _pth(tmp_path / "iter_7.pth", _numbers("model.layers.9.self_attn.q_proj", 32))
    with pytest.raises(
        WeightsError, match=r"llm\.base_model\.model\.model\.layers\.9.*is not used"
    ):
        hubkit.merge(base, path, tmp_path / "out")


def test_a_part_trained_whole_is_not_taken_for_an_adapter(base: Path, tmp_path: Path) -> None:
    folder = _folders(tmp_path / "hf", _numbers("model.layers.1.self_attn.q_proj", 32))
    (folder / "llm").mkdir()
    with pytest.raises(WeightsError, match="llm/ holds a part that was trained whole"):
        hubkit.merge(base, folder, tmp_path / "out")
