"""A folder of GGUF files is known by its content, and judged."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest
from testing.projects import BASE

import hubkit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "InternVL2-Tiny-GGUF"
    folder.mkdir()
    shutil.copy(BASE / "config.json", folder)
    for name in ("InternVL2-Tiny-F16.gguf", "mmproj-InternVL2-Tiny-F16.gguf"):
        (folder / name).write_bytes(header())
    return folder


def header(magic: bytes = b"GGUF", version: int = 3, tensors: int = 91) -> bytes:
    return struct.pack("<4sIQQ", magic, version, tensors, 0)


def test_it_needs_no_safetensors(folder: Path) -> None:
    assert hubkit.check(folder) == ()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (header(b"GGML"), "not a GGUF file by its first bytes"),
        (header()[:20], "not a GGUF file by its first bytes"),
        (header(version=9), "GGUF of version 9, not 2 or 3"),
        (header(tensors=0), "a GGUF file without tensors"),
    ],
)
def test_what_is_wrong_with_a_file(folder: Path, content: bytes, told: str) -> None:
    (folder / "mmproj-InternVL2-Tiny-F16.gguf").write_bytes(content)
    (problem,) = hubkit.check(folder)
    assert (problem.where, problem.message) == ("mmproj-InternVL2-Tiny-F16.gguf", told)


def test_what_may_not_be_published_is_found_beside_it(folder: Path) -> None:
    (folder / ".env").write_text("TOKEN=x")
    (folder / "state.pt").write_bytes(b"x")
    assert {problem.where for problem in hubkit.check(folder)} == {".env", "state.pt"}


def test_weights_beside_it_are_judged_as_a_models(folder: Path) -> None:
    (folder / "other.safetensors").write_bytes(b"x")
    assert any(problem.where == "model.safetensors" for problem in hubkit.check(folder))
