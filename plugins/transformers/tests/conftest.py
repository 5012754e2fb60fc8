"""The quickstart's tiny base model, official and native, and a few printed digits."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubkit.sdk import GenerateInput, Record, Turn, Vision, write_jsonl

READ = Turn("<image>\nWhich digit is this?", "")
PARITY = Turn("Is it even or odd?", "")


@pytest.fixture(scope="session")
def base() -> Path:
    import hubkit

    return Path(hubkit.__file__).parent / "quickstart" / "base"


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
def records() -> list[Record]:
    """One and two turns, one and three tiles, two pictures, and none."""
    return [
        *(
            Record(f"d{digit}", (f"{digit}.png",), (READ, PARITY) if digit % 3 == 0 else (READ,))
            for digit in range(5)
        ),
        Record("wide", ("wide.png",), (READ,)),
        Record(
            "pair",
            ("1.png", "2.png"),
            (Turn("<image>\nWhat is in this picture?", ""), Turn("And this? <image>", "")),
        ),
        Record("text", (), (Turn("Spell it.", ""),)),
    ]


@pytest.fixture
def job(
    base: Path, native: Path, vision: Vision, images: Path, tmp_path: Path, records: list[Record]
) -> Callable[..., GenerateInput]:
    def build(
        chosen: list[Record] | None = None, name: str = "out", tokens: int = 8, **options: Any
    ) -> GenerateInput:
        output = tmp_path / name
        output.mkdir()
        path = tmp_path / f"{name}.jsonl"
        write_jsonl(path, records if chosen is None else chosen)
        return GenerateInput(
            base, native, vision, path, images, output, tokens, {"threads": 1, **options}
        )

    return build
