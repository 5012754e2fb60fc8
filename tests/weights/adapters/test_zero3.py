"""What DeepSpeed saved under ZeRO-3, a share of each tensor on each GPU, is joined as its own
script joins it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hubkit.sdk import WeightsError
from hubkit.weights.adapters.zero3 import read_zero3
from hubkit.weights.merge import merge
from hubkit.weights.model import Model

REAL = Path(__file__).parents[1] / "data" / "zero3_deepspeed_0_16_2"
"""Of DeepSpeed 0.16.2 on two processes, and in right.json what its zero_to_fp32.py makes of it."""
WO = "language_model.model.layers.0.attention.wo"
CFG = "model = dict(llm_lora=dict(lora_alpha=6, r=4), type='InternVL_V1_5')"


def write_zero3(
    folder: Path, tensors: dict[str, torch.Tensor], ranks: int, groups: int, **more: Any
) -> Path:
    """As DeepSpeed: each tensor cut into `ranks` equal parts, the last filled up; a GPU's parts are
    end to end in `groups` flat tensors."""
    folder.mkdir()
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    for rank in range(ranks):
        parts = []
        for tensor in tensors.values():
            size = -(-tensor.numel() // ranks)
            filled = torch.cat([tensor.flatten(), torch.full((size * ranks,), 9.0)])
            parts.append(filled[rank * size : (rank + 1) * size])
        flat = torch.cat(parts).chunk(groups)
        state = {"optimizer_state_dict": {"fp32_flat_groups": [one.clone() for one in flat]}}
        name = f"zero_pp_rank_{rank}_mp_rank_00"
        torch.save(state, folder / f"bf16_{name}_optim_states.pt")
        empty = {name: torch.empty(0) for name in tensors}
        saved = {"module": empty, "param_shapes": [shapes], "dp_world_size": ranks, **more}
        torch.save(saved, folder / f"{name}_model_states.pt")
    return folder


def test_as_deepspeeds_own_script_joins_it() -> None:
    right = json.loads((REAL / "right.json").read_text())
    source, saved = read_zero3(REAL)
    with source:
        assert {name: source.load(name).tolist() for name in source.tensors} == right
    assert saved["meta"] == {"cfg": "model = dict(llm_lora=dict(r=3, lora_alpha=6))", "iter": 3}


@pytest.mark.parametrize("seed", range(5))
def test_any_number_of_gpus(make_base: Any, family: Any, tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    torch.manual_seed(seed)
    a, b = torch.randn(4, 32), torch.randn(32, 4)
    at = "model.language_model.base_model.model.model.layers.0.attention.wo.lora_"
    tensors = {
        f"{at}A.default.weight": a,
        "model.mlp1.0.bias": torch.randn(32),
        f"{at}B.default.weight": b,
        "model.mlp1.1.weight": torch.randn(32, 32),
    }
    ranks, groups = draw.choice([1, 2, 3, 5, 7, 8]), draw.randint(1, 4)
    folder = write_zero3(tmp_path / "iter_9.pth", tensors, ranks, groups, meta={"cfg": CFG})
    base = make_base(dtype=torch.float32)
    report = merge(Model.of(base, family), folder, tmp_path / "out")
    out, before = (load_file(path / "model.safetensors") for path in (tmp_path / "out", base))
    assert (report.merged, report.replaced, report.adapter_keys) == (1, 2, 4)
    torch.testing.assert_close(out[f"{WO}.weight"], before[f"{WO}.weight"] + 1.5 * b @ a)
    for name in ("mlp1.0.bias", "mlp1.1.weight"):
        assert torch.equal(out[name], tensors[f"model.{name}"])


def _resave(pattern: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        for path in folder.glob(pattern):
            data = torch.load(path)
            change(data)
            torch.save(data, path)

    return changed


def _remove(pattern: str) -> Callable[[Path], None]:
    return lambda folder: [path.unlink() for path in folder.glob(pattern)] and None


def _shorter(data: Any) -> None:
    groups = data["optimizer_state_dict"]["fp32_flat_groups"]
    groups[0] = groups[0][:-1].clone()


BROKEN: dict[str, Callable[[Path], None]] = {
    "without its weights": _remove("*optim*"),
    r"optimizer states of \[0\]": _remove("*rank_1_*optim*"),
    r"model states of the GPUs \[1\]": _remove("*rank_0_*model*"),
    "files of 1 GPUs of 2": _remove("*rank_1_*"),
    "files of 2 GPUs of 4": _resave("*model*", lambda data: data.update(dp_world_size=4)),
    "of an unknown number": _resave("*model*", dict.clear),
    "param_shapes are no shapes": _resave("*model*", lambda d: d["param_shapes"].append({"x": 3})),
    "holds no fp32_flat_groups": _resave("*optim*", dict.clear),
    "their shapes ask for": _resave("*rank_1_*optim*", _shorter),
}


@pytest.mark.parametrize("says", BROKEN)
def test_what_does_not_hold_together(says: str, tmp_path: Path) -> None:
    folder = write_zero3(tmp_path / "iter_9.pth", {"x": torch.randn(3, 5)}, 2, 1)
    BROKEN[says](folder)
    with pytest.raises(WeightsError, match=says) as refused:
        read_zero3(folder)
    asks = "*_optim_states.pt" if "without" in says else "the files of all GPUs"
    assert asks in refused.value.remedy


def test_a_part_that_was_left_behind_is_added(make_base: Any, family: Any, tmp_path: Path) -> None:
    """The remedy, followed."""
    at = "model.language_model.base_model.model.model.layers.0.attention.wo.lora_"
    tensors = {
        f"{at}A.default.weight": torch.randn(4, 32),
        f"{at}B.default.weight": torch.randn(32, 4),
    }
    whole = write_zero3(tmp_path / "iter_9.pth", tensors, 4, 2, meta={"cfg": CFG})
    part = tmp_path / "part"
    shutil.copytree(whole, part, ignore=shutil.ignore_patterns("*rank_3_*"))
    with pytest.raises(WeightsError, match="files of 3 GPUs of 4"):
        merge(Model.of(make_base(), family), part, tmp_path / "out")
    shutil.copytree(whole, part, dirs_exist_ok=True)
    merge(Model.of(make_base("again"), family), part, tmp_path / "out")
