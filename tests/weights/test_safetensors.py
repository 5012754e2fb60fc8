"""The parser against the reference implementation and against files that lie."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hubkit.sdk import WeightsError
from hubkit.weights.checkpoint import Checkpoint, inspect
from hubkit.weights.header import BITS, build_header, read_header


def file_of(header: Any, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def parse(content: bytes) -> Any:
    return read_header(io.BytesIO(content), len(content), "x.safetensors")


def entry(dtype: str = "U8", shape: Any = (4,), start: Any = 0, end: Any = 4) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


LIES = {
    "a gap": (
        file_of({"a": entry(), "b": entry(start=5, end=9)}, bytes(9)),
        "1 bytes before tensor 'b'",
    ),
    "an overlap": (
        file_of({"a": entry(), "b": entry(start=3, end=7)}, bytes(7)),
        "'a' and 'b' overlap by 1 bytes",
    ),
    "a late start": (file_of({"a": entry(start=1, end=5)}, bytes(5)), "1 bytes before tensor 'a'"),
    "bytes after": (file_of({"a": entry()}, bytes(6)), "2 bytes after the last tensor"),
    "bytes missing": (file_of({"a": entry()}, bytes(3)), "truncated: 1 of"),
    "a wrong size": (
        file_of({"a": entry(end=5)}, bytes(5)),
        "takes 4 bytes, its data_offsets span 5",
    ),
    "an odd half byte": (file_of({"a": entry("F4", (3,), 0, 1)}, bytes(1)), "takes 1.5 bytes"),
    "backward offsets": (file_of({"a": entry(start=4, end=0)}, bytes(4)), "span -4"),
    "negative offsets": (
        file_of({"a": entry(start=-4, end=0)}, bytes(4)),
        "impossible data_offsets",
    ),
    "offsets of text": (
        file_of({"a": {**entry(), "data_offsets": ["0", "4"]}}, bytes(4)),
        "impossible data_offsets",
    ),
    "boolean offsets": (
        file_of({"a": entry(shape=(1,), start=False, end=True)}, bytes(1)),
        "impossible data_offsets",
    ),
    "a negative shape": (file_of({"a": entry(shape=(-2, -2))}, bytes(4)), "impossible shape"),
    "a shape of text": (file_of({"a": {**entry(), "shape": "4"}}, bytes(4)), "impossible shape"),
    "a huge shape": (file_of({"a": entry(shape=(2**62, 2**62))}, bytes(4)), "impossible shape"),
    "an unknown dtype": (file_of({"a": entry("I4")}, bytes(4)), "unknown dtype 'I4'"),
    "an unknown field": (file_of({"a": {**entry(), "x": 1}}, bytes(4)), "nothing else"),
    "a list": (file_of([], b""), "not a JSON object"),
    "no JSON": (file_of(b"{", b""), "not JSON"),
    "NaN": (file_of(b'{"a": NaN}', b""), "NaN is not JSON"),
    "deep JSON": (file_of(b'{"a":' + b"[" * 100_000, b""), "not JSON"),
    "no UTF-8": (file_of(b'{"\xff": 1}', b""), "not JSON"),
    "a name twice": (file_of(b'{"a": 1, "a": 2}', b""), "names 'a' twice"),
    "a field twice": (
        file_of(b'{"a": {"dtype": "U8", "dtype": "I8"}}', b""),
        "names 'dtype' twice",
    ),
    "metadata of numbers": (file_of({"__metadata__": {"a": 1}}, b""), "must map names to text"),
    "a long header": (b"\xff" * 8 + b"{}", "would be"),
    "a cut header": (file_of({"a": entry()}, b"")[:20], "truncated within its header"),
    "seven bytes": (b"1234567", "too few"),
    "nothing": (b"", "too few"),
}


@pytest.mark.parametrize("name", LIES)
def test_lies_are_refused(name: str) -> None:
    content, words = LIES[name]
    with pytest.raises(WeightsError) as caught:
        parse(content)
    assert words in caught.value.message and "x.safetensors" in caught.value.message


Shapes = st.lists(
    st.tuples(
        st.sampled_from(["F32", "BF16", "U8", "I64"]), st.lists(st.integers(0, 5), max_size=3)
    ),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(Shapes, st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2))
def test_what_is_built_is_parsed_as_the_reference_does(
    tmp_path_factory: Any, shapes: Any, metadata: Any
) -> None:
    named = [(f"t{i}", dtype, tuple(shape)) for i, (dtype, shape) in enumerate(shapes)]
    header = build_header(named, "x.safetensors", metadata)
    size = max((t.end for t in header.tensors), default=len(header.raw))
    content = header.raw + bytes(size - len(header.raw))
    parsed = parse(content)
    assert {t.name: t for t in parsed.tensors} == {t.name: t for t in header.tensors}
    assert parsed.metadata == metadata and len(header.raw) % 8 == 0
    path = tmp_path_factory.mktemp("built") / "x.safetensors"
    path.write_bytes(content)
    with safe_open(path, "pt") as reference:
        for name, _, shape in named:
            assert tuple(reference.get_slice(name).get_shape()) == shape


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_files_are_refused_or_sound(data: Any) -> None:
    """Whatever bytes change, either WeightsError is raised or every tensor lies within the file and
    none overlap."""
    header = {
        "__metadata__": {"format": "pt"},
        "a": entry("BF16", (2, 3), 0, 12),
        "b": entry("F32", (), 12, 16),
    }
    content = bytearray(file_of(header, bytes(16)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, 20))
    content = content[: len(content) - cut]
    try:
        parsed = parse(bytes(content))
    except WeightsError as error:
        assert error.message.startswith("x.safetensors: ") and error.remedy
        return
    assert sum(t.size for t in parsed.tensors) == len(content) - len(parsed.raw)
    assert all(t.size * 8 == BITS[t.dtype] * torch.Size(t.shape).numel() for t in parsed.tensors)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_after_a_true_length(text: bytes) -> None:
    try:
        parse(file_of(text, b""))
    except WeightsError as error:
        assert error.message.startswith("x.safetensors: ")
    else:
        assert json.loads(text) in ({}, {"__metadata__": {}})


def test_tensors_are_those_of_the_reference(make_base: Any) -> None:
    base = make_base(shards=3)
    expected = {n: t for path in base.glob("*.safetensors") for n, t in load_file(path).items()}
    with Checkpoint.open(base) as weights:
        assert weights.tensors.keys() == expected.keys()
        for name, tensor in expected.items():
            assert torch.equal(weights.tensor(name), tensor) and torch.equal(
                weights.load(name), tensor
            )
        kept = weights.tensor("mlp1.1.weight")
        kept[0] = 0
    again = load_file(base / "model-00003-of-00003.safetensors")["mlp1.1.weight"]
    assert (
        torch.equal(again, expected["mlp1.1.weight"])
        and kept[0].eq(0).all()
        and not again[0].eq(0).all()
    )


def index_of(base: Path) -> tuple[Path, dict[str, Any]]:
    path = base / "model.safetensors.index.json"
    return path, json.loads(path.read_text())


def refused(base: Path, *words: str) -> None:
    with pytest.raises(WeightsError) as caught:
        Checkpoint.open(base)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "name", ["../other/model.safetensors", "/etc/model.safetensors", "a\\b.safetensors"]
)
def test_an_index_that_names_a_file_outside(make_base: Any, name: str) -> None:
    base = make_base(shards=2)
    path, index = index_of(base)
    index["weight_map"]["mlp1.1.weight"] = name
    path.write_text(json.dumps(index))
    refused(base, repr(name), "leads out of the folder")


def test_a_shard_that_links_outside(make_base: Any, tmp_path: Path) -> None:
    base = make_base(shards=2)
    shard = base / "model-00001-of-00002.safetensors"
    shutil.move(shard, tmp_path / "elsewhere.safetensors")
    shard.symlink_to(tmp_path / "elsewhere.safetensors")
    refused(base, shard.name, "outside the folder")


def test_a_tensor_in_two_shards(make_base: Any) -> None:
    base = make_base(shards=2)
    second = base / "model-00002-of-00002.safetensors"
    tensors = load_file(second)
    tensors["language_model.model.tok_embeddings.weight"] = torch.zeros(1)
    save_file(tensors, second)
    refused(
        base,
        "tok_embeddings",
        "is in model-00001-of-00002.safetensors and again in model-00002-of-00002.safetensors",
    )


def test_an_index_that_disagrees_with_its_shards(make_base: Any) -> None:
    base = make_base(shards=2)
    path, index = index_of(base)
    names = index["weight_map"]
    names["nowhere"] = "model-00001-of-00002.safetensors"
    names["mlp1.1.weight"] = "model-00001-of-00002.safetensors"
    del names["mlp1.0.bias"]
    path.write_text(json.dumps(index))
    refused(
        base,
        "'nowhere' is missing",
        "'mlp1.1.weight' is in model-00002",
        "'mlp1.0.bias' of model-00002-of-00002.safetensors is not named",
    )


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"weight_map": {}}', '{"weight_map": {"a": 1}}', '{"weight_map": {"a": "x.bin"}}'],
)
def test_an_index_that_is_none(make_base: Any, content: str) -> None:
    base = make_base(shards=2)
    (base / "model.safetensors.index.json").write_text(content)
    checkpoint, problems = inspect(base)
    assert checkpoint is None and problems[0].where == "model.safetensors.index.json"


def test_a_missing_shard_is_named(make_base: Any) -> None:
    base = make_base(shards=3)
    (base / "model-00002-of-00003.safetensors").unlink()
    refused(base, "model-00002-of-00003.safetensors is missing")


def test_a_file_that_becomes_shorter(make_base: Any) -> None:
    base = make_base()
    whole = (base / "model.safetensors").read_bytes()
    with Checkpoint.open(base) as checkpoint:
        os.truncate(base / "model.safetensors", 8000)
        with pytest.raises(WeightsError, match="became shorter while it was read") as caught:
            checkpoint.load(next(reversed(checkpoint.tensors)))
    assert caught.value.remedy == "leave the file alone and run again"
    (base / "model.safetensors").write_bytes(whole)
    with Checkpoint.open(base) as checkpoint:
        assert checkpoint.load("mlp1.1.weight").shape == (32, 32)


def test_an_index_that_names_thousands_of_files(make_base: Any) -> None:
    base = make_base(shards=2)
    path, index = index_of(base)
    index["weight_map"] = {f"t{n}": f"model-{n}.safetensors" for n in range(4097)}
    path.write_text(json.dumps(index))
    refused(base, "names 4,097 files; hubkit takes 4,096")


def test_a_dtype_that_torch_has_not(tmp_path: Path) -> None:
    held = entry("F6_E2M3", [4], 0, 3)
    (tmp_path / "model.safetensors").write_bytes(file_of({"a": held}, bytes(3)))
    with Checkpoint.open(tmp_path) as checkpoint, pytest.raises(WeightsError) as caught:
        checkpoint.load("a")
    assert "tensor 'a' has the dtype F6_E2M3" in caught.value.message
    assert caught.value.remedy == "use weights in bfloat16"
