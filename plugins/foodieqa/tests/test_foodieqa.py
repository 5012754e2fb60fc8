"""FoodieQA's three files to records, in both forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hubkit_foodieqa import FoodieQA
from testing import foodie

from hubkit.sdk import DataError, Record, Terms, Turn, UsageError
from hubkit.sdk.testing import check_dataset

PLUGIN = FoodieQA()


def read(source: Path, **options: Any) -> list[Record]:
    return list(PLUGIN.records(source, options))


def test_single_picture_questions_in_the_tutorials_words(tmp_path: Path) -> None:
    source = foodie.write(
        tmp_path / "sivqa_tidy.json", [foodie.single(number) for number in range(256)]
    )
    bad = foodie.write(tmp_path / "bad.json", [foodie.single(0), foodie.single(1, answer="4")])
    records = check_dataset(
        PLUGIN,
        source,
        256,
        options={"form": "tutorial"},
        bad={bad: "answer: is '4', and there are 4 choices, counted from 0"},
    )
    for item, record in zip(json.loads(source.read_text("utf-8")), records, strict=True):
        dish = item["food_meta"]
        assert record.images == (dish["food_file"].removeprefix("./"),)
        assert record.turns == (
            Turn(
                item["question"] + "\n<image>",
                item["choices"][int(item["answer"])] + "，图中的菜是" + dish["food_name"],
            ),
        )
    assert records[5].id == "vqa-5"
    assert records[5].meta == {
        "question_type": "region-2",
        "food_name": "小笼包",
        "food_type": "菜",
        "food_location": "餐馆",
    }


def test_choices_in_the_prompt_and_english(tmp_path: Path) -> None:
    source = foodie.write(tmp_path / "sivqa_tidy.json", [foodie.single(2)])
    (record,) = check_dataset(PLUGIN, source, 1)
    assert record.turns == (
        Turn(
            "<image>\n图片中的食物是哪个地区的特色美食？（2）\n"
            "A. 四川\nB. 上海\nC. 福建\nD. 东北\n请回答正确选项的字母。",
            "C",
        ),
    )
    (english,) = read(source, language="en")
    assert english.turns[0].prompt.splitlines()[1:4] == [
        "Which region is the food in the picture from? (2)",
        "A. Sichuan",
        "B. Shanghai",
    ]


def test_questions_with_four_pictures(tmp_path: Path) -> None:
    source = foodie.write(
        tmp_path / "mivqa_tidy.json",
        [foodie.multi(1), foodie.multi(2, choices=["是", "否"], answer=1)],
    )
    records = check_dataset(PLUGIN, source, 2)
    assert records[0].images == ("images/1.jpeg", "images/2.jpeg", "images/3.jpeg", "images/4.jpeg")
    assert records[0].turns[0].prompt.splitlines()[:2] == ["图A: <image>", "图B: <image>"]
    assert [record.turns[0].answer for record in records] == ["B", "B"]
    assert "A. 是\nB. 否" in records[1].turns[0].prompt
    assert [record.turns[0].answer for record in read(source, form="tutorial")] == ["图B", "否"]
    assert records[0].meta == {"question_type": "flavor", "ann_group": "川"}


def test_questions_without_a_picture(tmp_path: Path) -> None:
    source = foodie.write(tmp_path / "textqa_tidy.json", [foodie.text(1)])
    (record,) = check_dataset(PLUGIN, source, 1)
    assert (record.images, record.turns[0].answer, record.meta["cuisine_type"]) == ((), "B", "鲁")
    (record,) = read(source, form="tutorial")
    assert record.turns == (Turn("酥鸡是哪个地区的特色菜？", "上海"),)


@pytest.mark.parametrize(
    ("item", "says", "code"),
    [
        (foodie.single(1, answer="-1"), "answer: is '-1', and there are 4 choices", "choices"),
        (foodie.single(1, answer=True), "answer: is True", "choices"),
        (foodie.single(1, answer="B"), "answer: is 'B'", "choices"),
        (foodie.single(1, answer="²"), "answer: is '²'", "choices"),
        (
            foodie.single(1, choices=["one"]),
            "choices: must be a list of two to four texts",
            "choices",
        ),
        (foodie.single(1, question=""), "question: must be a text", "schema"),
        (
            foodie.single(1, food_meta={"food_file": "../x.jpeg"}),
            "food_meta.food_file: '../x.jpeg' leaves",
            "path",
        ),
        (foodie.single(1, food_meta=None), "food_meta.food_file: must be a path", "path"),
        (
            foodie.text(1),
            "a question with no picture in a file with one picture (food_meta)",
            "schema",
        ),
        (foodie.multi(1), "several pictures (images) in a file with one picture", "schema"),
        ([1], "must be an object, not list", "schema"),
    ],
)
def test_a_bad_question_is_named_and_the_scan_goes_on(
    tmp_path: Path, item: Any, says: str, code: str
) -> None:
    source = foodie.write(tmp_path / "sivqa_tidy.json", [foodie.single(0), item, foodie.single(2)])
    rows = list(PLUGIN.scan(source, {}, False))
    assert [row.record is None for row in rows] == [False, True, False]
    problem = rows[1].problem
    assert problem is not None and problem.code == code
    assert problem.message.startswith(f"{source}, record 1 (") and says in problem.message
    with pytest.raises(DataError) as caught:
        read(source)
    assert says in caught.value.message


def test_terms_say_evaluation_only(tmp_path: Path) -> None:
    terms = PLUGIN.terms(tmp_path / "x.json", {})
    assert isinstance(terms, Terms)
    assert (terms.license, terms.restrictions, terms.benchmark) == (
        "cc-by-nc-nd-4.0",
        ("evaluation-only", "no-derivatives"),
        "FoodieQA",
    )
    with pytest.raises(UsageError, match="form must be one of 'choices', 'tutorial'"):
        read(foodie.write(tmp_path / "x.json", [foodie.single(0)]), form="other")
