"""Questions of FoodieQA's shape, made up, with pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DISHES = ("麻婆豆腐", "小笼包", "佛跳墙", "锅包肉")
PLACES = ("四川", "上海", "福建", "东北")


def single(number: int, **changes: Any) -> dict[str, Any]:
    right = number % 4
    return {
        "question": f"图片中的食物是哪个地区的特色美食？（{number}）",
        "choices": list(PLACES),
        "answer": str(right),
        "question_type": "region-2" if number % 2 else "flavor",
        "food_name": DISHES[right],
        "question_id": f"vqa-{number}",
        "food_meta": {
            "main_ingredient": ["豆腐"],
            "id": number,
            "food_name": DISHES[right],
            "food_type": "菜",
            "food_location": "餐馆",
            "food_file": f"./images/{number}.jpeg",
        },
        "question_en": f"Which region is the food in the picture from? ({number})",
        "choices_en": ["Sichuan", "Shanghai", "Fujian", "Northeast"],
        **changes,
    }


def multi(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "question": "哪一道菜适合喜欢吃辣的人？",
        "choices": "",
        "answer": str(number % 4),
        "question_type": "flavor",
        "question_id": number,
        "ann_group": "川",
        "images": [f"./images/{(number + step) % 8}.jpeg" for step in range(4)],
        "question_en": "Which dish is for people who like it hot?",
        **changes,
    }


def text(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "question": "酥鸡是哪个地区的特色菜？",
        "choices": list(PLACES),
        "answer": "1",
        "question_type": "region-2",
        "food_name": "酥鸡",
        "cuisine_type": "鲁",
        "question_id": f"textqa-{number}",
        **changes,
    }


def write(path: Path, items: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(items, ensure_ascii=False, indent=1), "utf-8")
    return path


def draw(folder: Path, count: int) -> None:
    from PIL import Image

    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        colour = (number % 256, 255 - number % 256, (7 * number) % 256)
        Image.new("RGB", (32 + number % 9, 40), colour).save(folder / "images" / f"{number}.jpeg")
