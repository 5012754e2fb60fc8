"""An array with one, two and no pictures, and files that are refused: each names its record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hubkit.sdk.testing import DatasetCase


def case(folder: Path) -> DatasetCase:
    one = _item("1", "<image>\nWhich digit?", "three", image="digits/3.png")
    two = _item("2", "<image><image>\n图中是什么菜？", "豆腐", image=["a.png", "b c.png"])
    none = _item("3", "No picture here.", "Right.")
    refused = {
        "mark.json": (
            [one, _item("2", "Which digit?", "four", image="4.png")],
            "record 1 (id '2'), conversations[0]",
        ),
        "path.json": (
            [_item("1", "<image>", "x", image="../secret.png")],
            "leaves the image folder",
        ),
        "twice.json": ([one, one], "record 0 has the same id"),
        "empty.json": ([], "the dataset is empty"),
    }
    bad = {_write(folder / name, items): says for name, (items, says) in refused.items()}
    cut = folder / "cut.json"
    cut.write_text(json.dumps([one])[:-9], "utf-8")
    return DatasetCase(
        _write(folder / "good.json", [one, two, none]), 3, bad={**bad, cut: "cut.json"}
    )


def _item(identity: str, prompt: str, answer: str, **more: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": prompt}, {"from": "gpt", "value": answer}]
    return {"id": identity, "conversations": turns, **more}


def _write(path: Path, items: list[Any]) -> Path:
    path.write_text(json.dumps(items, ensure_ascii=False), "utf-8")
    return path
