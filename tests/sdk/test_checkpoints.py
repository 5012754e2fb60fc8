"""Weights files read and written without torch: the same bytes as torch's and safetensors' own."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from testing.rights import ordinary

from hubkit.sdk import UsageError, WeightsError
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
    with pytest.raises(WeightsError, match=r"tensor 'a' has not the bytes of its shape.*\n.*parts"):
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


def test_what_is_no_weights_file(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").touch()
    with pytest.raises(WeightsError, match=r"x\.gguf is no weights file by its name"):
        open_weights(tmp_path / "x.gguf")
    with pytest.raises(UsageError, match=r"x\.pt does not exist"):
        open_weights(tmp_path / "x.pt")
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": 7}')
    with pytest.raises(WeightsError, match="weight_map must map tensor names to file names"):
        open_weights(tmp_path)


@pytest.mark.parametrize("name", ["x.pt", "x.safetensors", "model.safetensors.index.json"])
def test_files_that_may_not_be_read(tmp_path: Path, name: str) -> None:
    save_file(TENSORS, tmp_path / "x.safetensors")
    torch.save(TENSORS, tmp_path / "x.pt")
    index = {"weight_map": dict.fromkeys(TENSORS, "x.safetensors")}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    path = tmp_path if name.endswith("json") else tmp_path / name
    (tmp_path / name).chmod(0)
    with ordinary():
        with pytest.raises(WeightsError, match=r"cannot be read \(Permission denied\)") as caught:
            open_weights(path)
        assert "its permissions" in caught.value.remedy
        (tmp_path / name).chmod(0o600)
        assert open_weights(path).keys() == TENSORS.keys()


def test_a_file_that_becomes_shorter(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(TENSORS, path)
    found, whole = open_weights(path), path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(WeightsError, match="became shorter while it was read"):
        [found.read(name) for name in TENSORS]
    path.write_bytes(whole)
    assert found.read("a") == raw(TENSORS["a"])


Records = dict[str, bytes]


def _without(records: Records) -> Records:
    return {name: data for name, data in records.items() if not name.endswith("data/0")}


def _big_endian(records: Records) -> Records:
    return {name: b"big" if name.endswith("byteorder") else data for name, data in records.items()}


def _two_pickles(records: Records) -> Records:
    return {**records, "y/data.pkl": records["x/data.pkl"]}


@pytest.mark.parametrize(
    ("change", "compressed", "says"),
    [
        (_two_pickles, "", r"y\.pt is not a file of torch\.save"),
        (_without, "", "tensor 'a' has no record '0' in the archive"),
        (_big_endian, "", "was written on a big-endian machine"),
        (dict, "data/0", "the record 'x/data/0' is compressed or damaged"),
    ],
)
def test_archives_that_do_not_hold_together(
    tmp_path: Path, change: Callable[[Records], Records], compressed: str, says: str
) -> None:
    torch.save(TENSORS, tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt") as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "y.pt", "w") as archive:
        for name, data in change(records).items():
            how = zipfile.ZIP_DEFLATED if name.endswith(compressed or "-") else zipfile.ZIP_STORED
            archive.writestr(name, data, how)
    with pytest.raises(WeightsError, match=says):
        open_weights(tmp_path / "y.pt")
    torch.save(TENSORS, tmp_path / "y.pt")  # the remedy
    assert open_weights(tmp_path / "y.pt").read("a") == raw(TENSORS["a"])


def test_a_record_that_says_it_is_longer_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save(TENSORS, path)
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("x/data/0").file_size
    content = bytearray(path.read_bytes())
    entry = content.index(b"x/data/0", content.index(b"PK\x01\x02")) - 46
    assert content[entry + 24 : entry + 28] == size.to_bytes(4, "little")
    content[entry + 20 : entry + 28] = (1 << 30).to_bytes(4, "little") * 2
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="the record 'x/data/0' reaches beyond the file"):
        open_weights(path)
