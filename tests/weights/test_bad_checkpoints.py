"""Bad checkpoints through the command line: refused by name, nothing run, nothing written.
(XTuner's own converter takes the empty and the renamed one, corrupts the weights and exits 0.)"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

BASE = Path(__file__).parents[2] / "hubkit/quickstart/base"
CFG = (
    "model = dict(llm_lora=dict(lora_alpha=8, r=4, type='peft.LoraConfig'), "
    "type='xtuner.model.InternVL_V1_5')\n"
)
WQKV = "model.language_model.base_model.model.model.layers.0.attention.wqkv"


def merge(adapter: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hubkit", "merge", str(BASE), str(adapter), str(out), "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def lora(rename: Callable[[str], str] = str) -> dict[str, torch.Tensor]:
    tensors = {
        f"{WQKV}.lora_A.default.weight": torch.ones(4, 128),
        f"{WQKV}.lora_B.default.weight": torch.ones(256, 4),
    }
    return {rename(name): tensor for name, tensor in tensors.items()}


def save(path: Path, state: dict[str, Any], **more: Any) -> Path:
    torch.save({"meta": {"cfg": CFG}, "state_dict": state, **more}, path)
    return path


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def zero_bytes(path: Path, mark: Path) -> str:
    path.touch()
    return "it is empty"


def no_tensors(path: Path, mark: Path) -> str:
    save(path, {})
    return "holds no tensors"


def renamed(path: Path, mark: Path) -> str:
    save(path, lora(lambda name: name.replace("wqkv", "qkv_fused")))
    return "attention.qkv_fused.lora_B.default.weight' is not used"


def lora_renamed(path: Path, mark: Path) -> str:
    """Keys that a converter which matches loosely would drop."""
    save(path, lora(lambda name: name.replace("lora_", "delta_")))
    return "attention.wqkv.delta_A.default.weight' is not used"


def command(path: Path, mark: Path) -> str:
    save(path, lora(), hook=Command(mark))
    return "system, which has no place in a checkpoint; nothing was run"


def command_for_a_tensor(path: Path, mark: Path) -> str:
    save(path, {**lora(), "model.mlp1.0.weight": Command(mark)})
    return "system, which has no place in a checkpoint; nothing was run"


def bare_pickle(path: Path, mark: Path) -> str:
    path.write_bytes(pickle.dumps(Command(mark)))
    return "is not a file of torch.save"


def second_pickle(path: Path, mark: Path) -> str:
    """An archive with another pickle beside the one that is expected."""
    save(path, lora())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", pickle.dumps(Command(mark)))
    return "is not a file of torch.save"


def deepspeed(path: Path, mark: Path) -> str:
    path.mkdir()
    torch.save(
        {"module": lora(), "meta": {"cfg": CFG}, "hook": Command(mark)},
        path / "mp_rank_00_model_states.pt",
    )
    return "mp_rank_00_model_states.pt holds posix.system"


def peft(path: Path, mark: Path) -> str:
    path.mkdir()
    (path / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8})
    )
    torch.save(
        {"base_model.model.lm_head.lora_A.weight": Command(mark)}, path / "adapter_model.bin"
    )
    return "adapter_model.bin holds posix.system"


@pytest.mark.parametrize(
    "make",
    [
        zero_bytes,
        no_tensors,
        renamed,
        lora_renamed,
        command,
        command_for_a_tensor,
        bare_pickle,
        second_pickle,
        deepspeed,
        peft,
    ],
)
def test_it_is_refused_and_nothing_happens(
    tmp_path: Path, make: Callable[[Path, Path], str]
) -> None:
    mark, adapter, out = (
        tmp_path / "ran",
        tmp_path / "in" / "iter_64.pth",
        tmp_path / "out" / "model",
    )
    adapter.parent.mkdir()
    expected = make(adapter, mark)
    done = merge(adapter, out)
    error = next(
        found
        for line in done.stdout.splitlines()
        if (found := json.loads(line))["event"] == "error"
    )
    assert (done.returncode, error["error"]) == (2, "WeightsError"), done.stderr
    assert expected in error["message"] and error["remedy"]
    assert "iter_64.pth" in error["message"] or adapter.is_dir()
    assert not mark.exists() and not out.exists()
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def test_the_same_checkpoint_unharmed_is_merged(tmp_path: Path) -> None:
    done = merge(save(tmp_path / "iter_64.pth", lora()), tmp_path / "out")
    assert done.returncode == 0, done.stderr
    result = next(
        found
        for line in done.stdout.splitlines()
        if (found := json.loads(line))["event"] == "result"
    )
    assert (result["merged"], result["adapter_keys"]) == (1, 2)
    assert (tmp_path / "out/model.safetensors").stat().st_size == (
        BASE / "model.safetensors"
    ).stat().st_size


def test_the_pickle_would_have_run(tmp_path: Path) -> None:
    """That the tests above prove something: plain pickle runs the command."""
    pickle.loads(pickle.dumps(Command(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()
