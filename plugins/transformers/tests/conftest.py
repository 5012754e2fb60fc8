"""Conversations about printed digits, and what an engine is given to answer them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubkit.sdk import GenerateInput, Record, Turn, Vision, write_jsonl

READ = Turn("<image>\nWhich digit is this?", "")
PARITY = Turn("Is it even or odd?", "")


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
