"""hubkit check finds everything that is wrong, at once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from hubkit.weights.check import check


def found(folder: Path, family: Any) -> dict[str, str]:
    return {problem.where: problem.message for problem in check(folder, family)}


def sound(make_base: Any, **how: Any) -> Path:
    base: Path = make_base(**how)
    config = json.loads((base / "config.json").read_text())
    config.pop("_name_or_path")
    (base / "config.json").write_text(json.dumps(config))
    return base


def test_a_sound_release_has_no_findings(make_base: Any, family: Any) -> None:
    base = sound(make_base, shards=2)
    for name in (
        "README.md",
        "README_zh.md",
        "LICENSE",
        ".gitattributes",
        "assets/loss.png",
    ):
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_text("x")
    for name in ("manifest.json", "provenance.json", "configuration.json", "assets/curve.json"):
        (base / name).write_text("{}")
    (base / ".git").mkdir()
    assert check(base, family) == ()


def test_stray_files_are_all_named(make_base: Any, family: Any, tmp_path: Path) -> None:
    base = sound(make_base)
    names = [
        "pytorch_model.bin",
        "iter_64.pth",
        "runs/state.pt",
        "other.safetensors",
        ".env",
        "__pycache__/x.pyc",
        "sub/.netrc",
    ]
    for name in names:
        (base / name).parent.mkdir(exist_ok=True)
        (base / name).write_text("x")
    (base / "vocab.txt").symlink_to(tmp_path)
    expected = {"__pycache__" if name.startswith("__") else name for name in names} | {"vocab.txt"}
    assert found(base, family).keys() == expected


def test_weights_that_are_none(make_base: Any, family: Any) -> None:
    base = sound(make_base)
    (base / "adapter").mkdir()
    for name in ("junk.safetensors", "adapter/adapter_model.safetensors"):
        (base / name).write_bytes(b"x" * 100)
    assert found(base, family) == {
        "junk.safetensors": "weights that no index names",
        "adapter/adapter_model.safetensors": "weights that no index names",
    }


def test_local_paths_in_json(make_base: Any, family: Any) -> None:
    base = make_base()
    (base / "tokenizer_config.json").write_text(
        '{"extra": [{"tokenizer_file": "C:\\\\models\\\\x.json"}], "unk_token": "/"}'
    )
    assert found(base, family).keys() == {
        "config.json: _name_or_path",
        "tokenizer_config.json: extra[0].tokenizer_file",
    }


def test_weights_against_config(make_base: Any, family: Any) -> None:
    base = sound(make_base)
    tensors = load_file(base / "model.safetensors")
    tensors["odd"] = tensors.pop("mlp1.0.bias")
    tensors["mlp1.1.weight"] = torch.zeros(2, 2, dtype=torch.float32)
    tensors["mlp1.0.weight"] = tensors["mlp1.0.weight"].to(torch.int8)
    save_file(tensors, base / "model.safetensors")
    messages = " | ".join(problem.message for problem in check(base, family))
    for words in (
        "'mlp1.0.bias' is missing",
        "'odd' in model.safetensors is unexpected",
        "'mlp1.1.weight' is (2, 2)",
        "1 tensors are I8",
        "1 tensors are float32",
        "config.json says bfloat16",
    ):
        assert words in messages


def test_several_broken_parts_are_reported_together(make_base: Any, family: Any) -> None:
    base = sound(make_base, shards=3)
    shards = sorted(base.glob("*.safetensors"))
    os.truncate(shards[0], shards[0].stat().st_size - 10)
    shards[1].write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    (base / "modeling_tiny.py").unlink()
    (base / "generation_config.json").write_text("{")
    (base / "odd.txt").write_text("")
    messages = found(base, family)
    assert "10 of" in messages[shards[0].name] and "Git LFS pointer" in messages[shards[1].name]
    assert messages["modeling_tiny.py"] == "a companion file is missing"
    assert "not JSON" in messages["generation_config.json"]
    assert messages["tokenizer.json"] == "from the family"


def test_total_size_of_the_index(make_base: Any, family: Any) -> None:
    base = sound(make_base, shards=2)
    path = base / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    size = index["metadata"]["total_size"]
    path.write_text(json.dumps({**index, "metadata": {"total_size": 7}}))
    assert found(base, family) == {
        path.name: f"metadata.total_size is 7, the tensors take {size} bytes"
    }


def test_no_config_and_another_family(make_base: Any, family: Any) -> None:
    base = sound(make_base)
    (base / "config.json").write_text('{"model_type": "llama"}')
    assert "not a tiny model" in found(base, family)["config.json"]
    (base / "config.json").unlink()
    assert "is missing" in found(base, family)["config.json"]


def test_no_weights_at_all(make_base: Any, family: Any) -> None:
    base = sound(make_base)
    (base / "model.safetensors").unlink()
    assert "is missing" in found(base, family)["model.safetensors"]


def test_a_companion_that_links_outside(make_base: Any, family: Any, tmp_path: Path) -> None:
    base = sound(make_base)
    (tmp_path / "licence").write_text("MIT")
    (base / "LICENSE").symlink_to(tmp_path / "licence")
    assert "outside the folder" in found(base, family)["LICENSE"]
    (base / "LICENSE").unlink()
    (base / "LICENSE").write_text("MIT")
    assert check(base, family) == ()
