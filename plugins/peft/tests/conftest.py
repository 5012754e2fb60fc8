"""The quickstart's tiny base model, official and native, and a few printed digits."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hubkit_internvl import InternVL

from hubkit.sdk import Record, TrainInput, Turn, Vision, write_jsonl

READ, PARITY = "<image>\nWhich digit is this?", "Is it even or odd?"


@pytest.fixture(scope="session")
def base() -> Path:
    import hubkit

    return Path(hubkit.__file__).parent / "quickstart" / "base"


@pytest.fixture(scope="session")
def native(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hubkit.weights.convert import to_native
    from hubkit.weights.model import Model

    folder = tmp_path_factory.mktemp("models") / "native"
    to_native(Model.of(base, InternVL()), folder)
    return folder


@pytest.fixture(scope="session")
def vision(base: Path) -> Vision:
    return InternVL().vision(json.loads((base / "config.json").read_text("utf-8")), None)


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0.png ... 9.png, one tile each, and wide.png, two tiles and a thumbnail."""
    from hubkit.quickstart.glyphs import draw

    folder, dice = tmp_path_factory.mktemp("images"), random.Random(5)
    for digit in range(10):
        draw(digit, 56, 56, dice).save(folder / f"{digit}.png")
    draw(8, 130, 60, dice).save(folder / "wide.png")
    return folder


@pytest.fixture
def records() -> list[Record]:
    """One and two turns, one and three tiles, and one without a picture."""
    return [
        *(
            Record(
                f"d{d}",
                (f"{d}.png",),
                (Turn(READ, str(d)), Turn(PARITY, "odd" if d % 2 else "even")),
            )
            for d in range(4)
        ),
        *(Record(f"d{d}", (f"{d}.png",), (Turn(READ, str(d)),)) for d in range(4, 10)),
        Record("wide", ("wide.png",), (Turn(READ, "8"),)),
        Record("text", (), (Turn("Spell it.", "four"),)),
    ]


@pytest.fixture
def job(
    base: Path, native: Path, vision: Vision, images: Path, tmp_path: Path, records: list[Record]
) -> Callable[..., TrainInput]:
    def build(chosen: list[Record] | None = None, name: str = "run", **options: Any) -> TrainInput:
        folder = tmp_path / name
        output, scratch, path = folder / "out", folder / "scratch", folder / "records.jsonl"
        output.mkdir(parents=True)
        scratch.mkdir()
        write_jsonl(path, records if chosen is None else chosen)
        groups = InternVL().native(json.loads((base / "config.json").read_text("utf-8"))).groups
        settings = {
            "steps": 5,
            "batch_size": 4,
            "rank": 4,
            "learning_rate": 1e-3,
            "checkpoint_every": 2,
            "threads": 1,
            **options,
        }
        return TrainInput(base, native, groups, vision, path, images, output, scratch, 7, settings)

    return build
