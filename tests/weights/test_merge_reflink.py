"""Shards that a merge leaves alone share the base's blocks where the file system can do that."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hubkit.sdk import WeightsError
from hubkit.weights import merge as merging
from hubkit.weights.merge import merge
from hubkit.weights.model import Model

_FIEMAP = 0xC020660B
_SHARED = 0x2000


def shared(path: Path) -> bool:
    """Whether the first extent of the file is one of another file too, by FIEMAP
    (linux/fiemap.h)."""
    request = bytearray(
        struct.pack("=QQIIII", 0, 2**64 - 1, 1, 0, 1, 0) + bytes(56)
    )  # 1: sync first
    with path.open("rb") as file:
        fcntl.ioctl(file.fileno(), _FIEMAP, request)
    (flags,) = struct.unpack_from("=I", request, 32 + 40)
    return bool(flags & _SHARED)


@pytest.fixture
def xfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    image, mounted = tmp_path_factory.mktemp("disk") / "xfs.img", tmp_path_factory.mktemp("xfs")
    with image.open("wb") as file:
        file.truncate(512 * 2**20)
    if not shutil.which("mkfs.xfs") or os.geteuid() != 0:
        pytest.skip("needs root and mkfs.xfs to have a file system with reflinks")
    subprocess.run(["mkfs.xfs", "-q", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, mounted], capture_output=True).returncode:
        pytest.skip("no loop devices here")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", mounted], check=True)
        image.unlink()


def projector_adapter(make_adapter: Any, lora: Any) -> Path:
    """Changes nothing but a tensor in the last of three shards."""
    return Path(make_adapter(lora("mlp1.1", 32, 32)))


def test_untouched_shards_are_reflinked(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, xfs: Path
) -> None:
    base, out = xfs / "base", xfs / "out"
    shutil.copytree(make_base(shards=3), base)
    report = merge(Model.of(base, family), projector_adapter(make_adapter, lora), out)
    names = sorted(path.name for path in out.glob("*.safetensors"))
    assert [shared(out / name) for name in names] == [True, True, False]
    assert {f.path: f.sha256 for f in report.files} == {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in out.iterdir()
    }
    before = (out / names[0]).read_bytes()
    with (base / names[0]).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    assert (out / names[0]).read_bytes() == before
    assert (out / names[0]).stat().st_nlink == 1


def test_the_result_is_the_same_with_and_without(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    base, adapter = make_base(shards=3), projector_adapter(make_adapter, lora)
    streamed = merge(Model.of(base, family), adapter, tmp_path / "streamed")
    cloned = []

    def clone(source: Path, target: Path) -> None:
        cloned.append(target.name)
        shutil.copyfile(source, target)

    monkeypatch.setattr(merging, "reflink", clone)
    assert merge(Model.of(base, family), adapter, tmp_path / "cloned") == streamed
    assert cloned == ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors"]


def test_a_file_system_without_reflinks_leaves_no_trace(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    def cannot(source: Path, target: Path) -> None:
        target.touch()
        raise OSError(errno.EOPNOTSUPP, "no reflinks")

    base, adapter = make_base(shards=3), projector_adapter(make_adapter, lora)
    expected = merge(Model.of(base, family), adapter, tmp_path / "one")
    monkeypatch.setattr(merging, "reflink", cannot)
    assert merge(Model.of(base, family), adapter, tmp_path / "two") == expected


def test_a_damaged_untouched_shard_is_still_refused(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    base = make_base(shards=3)
    first = base / "model-00001-of-00003.safetensors"
    data = bytearray(first.read_bytes())
    data[-2:] = (
        torch.tensor([float("nan")], dtype=torch.bfloat16).view(torch.uint8).numpy().tobytes()
    )
    first.write_bytes(data)
    monkeypatch.setattr(merging, "reflink", shutil.copyfile)
    with pytest.raises(WeightsError, match="NaN or infinity"):
        merge(Model.of(base, family), projector_adapter(make_adapter, lora), tmp_path / "out")
    assert not (tmp_path / "out").exists()
