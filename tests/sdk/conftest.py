"""Jobs for the honest plugins."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from testing.honest_plugins import RECORDS, VISION

from hubkit.sdk import (
    GenerateInput,
    ModuleGroup,
    PublishInput,
    ReleaseFile,
    TrainInput,
    write_jsonl,
)


@pytest.fixture
def train_job(tmp_path: Path) -> TrainInput:
    groups = {"llm": ModuleGroup("model", ("q_proj",))}
    return TrainInput(
        tmp_path,
        tmp_path,
        groups,
        VISION,
        tmp_path,
        tmp_path,
        tmp_path / "out",
        tmp_path / "scratch",
        7,
        {},
    )


@pytest.fixture
def generate_job(tmp_path: Path) -> GenerateInput:
    write_jsonl(tmp_path / "records.jsonl", RECORDS)
    return GenerateInput(
        tmp_path,
        tmp_path,
        VISION,
        tmp_path / "records.jsonl",
        tmp_path,
        tmp_path / "out",
        8,
        {"steps": 1},
    )


@pytest.fixture
def publish_job(tmp_path: Path) -> PublishInput:
    folder = tmp_path / "release"
    folder.mkdir()
    contents = {"README.md": b"# card", "config.json": b"{}"}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    files = tuple(
        ReleaseFile(name, len(data), hashlib.sha256(data).hexdigest(), False)
        for name, data in contents.items()
    )
    return PublishInput(folder, files, "c0ffee" * 6, "v1", "release", str(tmp_path / "shelf"), {})
