"""Weights files read and written without torch: the same bytes as torch's and safetensors' own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubkit.sdk import WeightsError
from hubkit.sdk.checkpoints import NewTensor, open_weights, write_safetensors

TENSORS = {
    "a": torch.arange(12.0).view(4, 3),
    "b": torch.ones(2, dtype=torch.bfloat16),
    "c": torch.zeros(0, 3),
}


def raw(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.contiguous().view(torch.uint8).numpy().tobytes())


@pytest.mark.parametrize("name", ["x.safetensors", "x.pt", "x.bin"])
def test_names_shapes_bytes_and_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    given = {key: torch.nn.Parameter(value) for key, value in TENSORS.items()}
    save_file(TENSORS, path) if name == "x.safetensors" else torch.save(given, path)
    found = open_weights(path)
    assert {key: (found[key].dtype, found[key].shape) for key in sorted(found)} == {
        "a": ("F32", (4, 3)),
        "b": ("BF16", (2,)),
        "c": ("F32", (0, 3)),
    }
    assert all(found.read(key) == raw(value) for key, value in TENSORS.items())
    assert found.read("a", (1, 3)) == raw(TENSORS["a"][1:3])
    assert list((found | found).select(["b"])) == ["b"]


def test_whether_a_parameter_was_trainable(tmp_path: Path) -> None:
    two = torch.ones(2)
    torch.save(
        {
            "yes": torch.nn.Parameter(two),
            "no": torch.nn.Parameter(two, requires_grad=False),
            "?": two,
        },
        tmp_path / "x.pt",
    )
    assert {name: info.trainable for name, info in open_weights(tmp_path / "x.pt").items()} == {
        "yes": True,
        "no": False,
        "?": None,
    }


def test_a_file_that_is_written_is_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    new = [
        NewTensor(key, "BF16" if key == "b" else "F32", tuple(v.shape), [raw(v)])
        for key, v in TENSORS.items()
    ]
    write_safetensors(path, new, {"format": "pt"})
    assert all(torch.equal(value, TENSORS[key]) for key, value in load_file(path).items())
    with pytest.raises(WeightsError, match="tensor 'a' has not the bytes of its shape"):
        write_safetensors(tmp_path / "y.safetensors", [NewTensor("a", "F32", (3,), [b"1234"])], {})
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


def test_folders_with_shards(tmp_path: Path) -> None:
    for number, key in enumerate("ab", 1):
        torch.save({key: TENSORS[key]}, tmp_path / f"pytorch_model-{number}.bin")
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text(
        json.dumps({"weight_map": {"a": "pytorch_model-1.bin", "b": "pytorch_model-2.bin"}})
    )
    assert open_weights(tmp_path).read("b") == raw(TENSORS["b"])
    index.write_text(json.dumps({"weight_map": {"a": "../x.bin"}}))
    with pytest.raises(WeightsError, match=r"names '../x.bin', which is not a file beside it"):
        open_weights(tmp_path)
    with pytest.raises(WeightsError, match="holds neither"):
        open_weights(tmp_path.parent)


@pytest.mark.parametrize("data", [[1], {"a": 1}, {1: TENSORS["a"]}])
def test_what_is_no_state_dict(tmp_path: Path, data: object) -> None:
    torch.save(data, tmp_path / "x.pt")
    with pytest.raises(WeightsError, match=r"holds no mapping of names|is not a tensor"):
        open_weights(tmp_path / "x.pt")
