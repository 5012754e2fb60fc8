"""A folder with JSON Lines and a card, and folders that are refused. Parquet needs pyarrow, and is
read in the same way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hubkit.sdk.testing import DatasetCase


def case(folder: Path) -> DatasetCase:
    asked = {"image": "images/1.png", "question": "Which digit?", "answer": "three"}
    good = _write(
        folder / "good", asked, {"image": "images/2.png", "question": "哪个数字？", "answer": "四"}
    )
    (good / "README.md").write_text("---\nlicense: mit\n---\n\n# Digits\n", "utf-8")
    bad = {
        _write(folder / "empty", {**asked, "answer": " "}): "record 0 (no id), answer: is empty",
        _write(folder / "path", {**asked, "image": "../x.png"}): "leaves the image folder",
        _write(folder / "columns", {"question": "Which digit?"}): "no column with answers",
    }
    return DatasetCase(good, 2, bad=bad)


def _write(folder: Path, *rows: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "train.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8"
    )
    return folder
