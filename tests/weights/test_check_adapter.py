"""hubkit check on adapter folders, alone and inside a release; adapters in sequence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import hubkit
from hubkit.api import models
from hubkit.errors import UsageError
from hubkit.registry.plugins import plugins
from hubkit.weights.check import check
from hubkit.weights.merge import merge
from hubkit.weights.model import Model

BASE = Path(__file__).parents[2] / "hubkit/quickstart/base"
QUERIES = "model.language_model.layers.0.self_attn.q_proj"


@pytest.fixture
def adapter(make_adapter: Any, lora: Any) -> Path:
    """A LoRA of rank 4 and alpha 6 for the quickstart's base."""
    folder: Path = make_adapter(
        lora(QUERIES, 128, 128), base_model_name_or_path="hubkit/InternVL2-Tiny"
    )
    return folder


def findings(folder: Path) -> dict[str, str]:
    return {problem.where: problem.message for problem in hubkit.check(folder)}


def change(folder: Path, **settings: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def test_a_sound_adapter(adapter: Path) -> None:
    (adapter / "README.md").write_text("---\nlicense: mit\n---\n")
    assert hubkit.check(adapter) == ()


@pytest.mark.parametrize("verb", [models.smoke, models.serve, models.demo])
def test_what_asks_a_model_says_that_it_was_given_an_adapter(
    adapter: Path, tmp_path: Path, verb: Any
) -> None:
    with pytest.raises(UsageError, match=f"{adapter} is an adapter, and no model") as caught:
        asked = verb(adapter)
        asked.__enter__()
    assert f"`hubkit merge BASE {adapter} OUT`" in caught.value.remedy
    hubkit.merge(BASE, adapter, tmp_path / "InternVL2-OUT")
    assert hubkit.check(tmp_path / "InternVL2-OUT") == ()


def test_settings_that_are_wrong(adapter: Path) -> None:
    change(adapter, base_model_name_or_path="/home/someone/base")
    assert findings(adapter).keys() == {"adapter_config.json: base_model_name_or_path"}
    change(adapter, base_model_name_or_path=None, r=0)
    found = findings(adapter)
    assert "is missing" in found["adapter_config.json: base_model_name_or_path"]
    assert "a rank is at least 1" in found["adapter_config.json"]
    (adapter / "adapter_config.json").write_text("{")
    assert "not JSON" in findings(adapter)["adapter_config.json"]


def test_weights_that_are_wrong(adapter: Path) -> None:
    tensors = load_file(adapter / "adapter_model.safetensors")
    (b,) = (name for name in tensors if name.endswith("lora_B.weight"))
    save_file(
        {name: tensor for name, tensor in tensors.items() if name != b},
        adapter / "adapter_model.safetensors",
    )
    assert QUERIES in findings(adapter)["adapter_model.safetensors"]
    save_file({**tensors, b: tensors[b].to(torch.int8)}, adapter / "adapter_model.safetensors")
    assert "I8" in findings(adapter)["adapter_model.safetensors"]
    save_file({}, adapter / "adapter_model.safetensors")
    assert "no tensors" in findings(adapter)["adapter_model.safetensors"]
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    found = findings(adapter)
    assert (
        found["adapter_model.safetensors"] == "is missing"
        and "pickle" in found["adapter_model.bin"]
    )


def test_an_adapter_inside_a_release_is_checked_too(
    adapter: Path, make_base: Any, family: Any
) -> None:
    base = make_base()
    config = json.loads((base / "config.json").read_text())
    config.pop("_name_or_path")
    (base / "config.json").write_text(json.dumps(config))
    adapter.rename(base / "adapter")
    assert check(base, family) == ()
    change(base / "adapter", peft_type="IA3", revision="/home/someone/revision")
    assert {problem.where for problem in check(base, family)} == {
        "adapter/adapter_config.json",
        "adapter/adapter_config.json: revision",
    }


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hubkit", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_merges_adapters_in_sequence(
    adapter: Path, make_adapter: Any, lora: Any, tmp_path: Path
) -> None:
    second = make_adapter(lora(QUERIES, 128, 128, seed=7), name="second")
    done = run("merge", BASE, adapter, tmp_path / "one", "--then", f"{second}=-0.5")
    assert done.returncode == 0, done.stderr
    merge(
        Model.of(BASE, plugins().get("family", "internvl")),
        [(adapter, 1.0), (second, -0.5)],
        tmp_path / "two",
    )
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two
    merge(Model.of(BASE, plugins().get("family", "internvl")), adapter, tmp_path / "three")
    assert one != (tmp_path / "three/model.safetensors").read_bytes()


def test_a_weight_is_a_number(adapter: Path, tmp_path: Path) -> None:
    done = run("merge", BASE, adapter, tmp_path / "out", "--then", f"{adapter}=half")
    assert done.returncode == 2 and "'half' is not a number" in done.stderr
    assert not (tmp_path / "out").exists()
