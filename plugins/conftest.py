"""The quickstart's tiny base model, official and native, and printed digits: for plugins that train
or ask it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubkit.sdk import Record, TrainInput, Vision, write_jsonl


@pytest.fixture(scope="session")
def base() -> Path:
    from testing.projects import BASE

    return BASE


@pytest.fixture(scope="session")
def native(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hubkit_internvl import InternVL

    from hubkit.weights.convert import to_native
    from hubkit.weights.model import Model

    folder = tmp_path_factory.mktemp("models") / "native"
    to_native(Model.of(base, InternVL()), folder)
    return folder


@pytest.fixture(scope="session")
def vision(base: Path) -> Vision:
    from hubkit_internvl import InternVL

    return InternVL().vision(json.loads((base / "config.json").read_text("utf-8")), None)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0.png ... 9.png, one tile each, and wide.png, two tiles and a thumbnail."""
    from hubkit.quickstart.glyphs import draw

    folder, dice = tmp_path_factory.mktemp("images"), random.Random(5)
    for digit in range(10):
        draw(digit, 56, 56, dice, 0.2).save(folder / f"{digit}.png")
    draw(8, 130, 60, dice, 0.2).save(folder / "wide.png")
    return folder


@pytest.fixture
def train_input(
    base: Path, native: Path, vision: Vision, images: Path, tmp_path: Path
) -> Callable[..., TrainInput]:
    """Builds the input of a trainer in a folder of its own below `tmp_path`."""
    from hubkit_internvl import InternVL

    def build(records: list[Record], name: str, options: dict[str, Any]) -> TrainInput:
        folder = tmp_path / name
        output, scratch, path = folder / "out", folder / "scratch", folder / "records.jsonl"
        output.mkdir(parents=True)
        scratch.mkdir()
        write_jsonl(path, records)
        groups = InternVL().native(json.loads((base / "config.json").read_text("utf-8"))).groups
        return TrainInput(base, native, groups, vision, path, images, output, scratch, 7, options)

    return build
