"""Questions in the shape of FoodieQA's, and files that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hubkit.sdk.testing import DatasetCase


def case(folder: Path) -> DatasetCase:
    bad = {
        _write(
            folder / "answer.json", _question(1, answer="4")
        ): "answer: is '4', and there are 4 choices, counted from 0",
        _write(
            folder / "choices.json", _question(1, choices=["四川"])
        ): "choices: must be a list of two to four texts",
        _write(
            folder / "mixed.json", _question(1), {**_question(2), "images": ["a.jpeg", "b.jpeg"]}
        ): "in a file with one picture",
    }
    return DatasetCase(_write(folder / "sivqa_tidy.json", _question(1), _question(2)), 2, bad=bad)


def _question(number: int, **changes: Any) -> dict[str, Any]:
    dish = {
        "food_name": "小笼包",
        "food_type": "菜",
        "food_location": "餐馆",
        "food_file": f"./images/{number}.jpeg",
    }
    asked = {
        "question": "图片中的食物是哪个地区的特色美食？",
        "choices": ["四川", "上海", "福建", "东北"],
        "answer": "1",
    }
    return {
        "question_id": f"vqa-{number}",
        "question_type": "region-2",
        "food_meta": dish,
        **asked,
        **changes,
    }


def _write(path: Path, *items: Any) -> Path:
    path.write_text(json.dumps(items, ensure_ascii=False), "utf-8")
    return path
