"""From one question of FoodieQA to a Record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubkit.sdk import IMAGE, Record, Turn
from hubkit.sdk.rows import Place

_LETTERS = "ABCD"
_KINDS = {
    "single": "one picture (food_meta)",
    "multi": "several pictures (images)",
    "text": "no picture",
}
_META = ("question_type", "food_name", "cuisine_type", "ann_group")
_READ = {
    *("question_id", "question", "question_en", "choices", "choices_en", "answer", "images"),
    *("food_meta", *_META),
}
_DISH_META = ("food_name", "food_type", "food_location", "main_ingredient")
_ASK = {"zh": "请回答正确选项的字母。", "en": "Answer with the letter of the right choice."}
_PICTURE = {"zh": "图", "en": "Picture "}


def kind_of(place: Place) -> str:
    """`single`, `multi` or `text`. Raises DataError when the item is no object."""
    if not isinstance(place.item, Mapping):
        remedy = "take the file as FoodieQA has it"
        raise place.error("record", f"must be an object, not {type(place.item).__name__}", remedy)
    return "multi" if "images" in place.item else "single" if "food_meta" in place.item else "text"


def record(place: Place, first: str, form: str, language: str) -> Record:
    """`first` is the kind of the file's first question: the three kinds come in files of their own.

    Raises:
        DataError: names the field and what was expected.
    """
    kind = kind_of(place)
    if kind != first:
        raise place.error(
            "record",
            f"a question with {_KINDS[kind]} in a file with {_KINDS[first]}",
            "one kind of question a file",
        )
    question = _text(place, "question_en" if language == "en" else "question")
    images = _images(place, kind)
    choices = _choices(
        place,
        "choices_en" if language == "en" and "choices_en" in place.item else "choices",
        images,
    )
    right = _answer(place, len(choices) or len(images))
    if form == "tutorial":
        prompt, answer = _as_tutorial(place, kind, question, images, choices, right)
    else:
        prompt, answer = _with_choices(question, images, choices, language), _LETTERS[right]
    turns = (Turn(prompt, answer),)
    place.check_fields(_READ, images)
    place.check_marks(images, turns, "question")
    meta = place.meta(_READ) | _meta(place.item)
    return Record(place.identity(place.item.get("question_id")), images, turns, meta)


def _as_tutorial(
    place: Place,
    kind: str,
    question: str,
    images: tuple[str, ...],
    choices: tuple[str, ...],
    right: int,
) -> tuple[str, str]:
    prompt = "\n".join([question, *[IMAGE] * len(images)])
    if kind == "single":
        return prompt, f"{choices[right]}，图中的菜是{_dish(place)}"
    return prompt, choices[right] if choices else f"图{_LETTERS[right]}"


def _with_choices(
    question: str, images: tuple[str, ...], choices: tuple[str, ...], language: str
) -> str:
    shown = (
        [IMAGE]
        if len(images) == 1
        else [f"{_PICTURE[language]}{_LETTERS[n]}: {IMAGE}" for n in range(len(images))]
    )
    options = [f"{_LETTERS[number]}. {choice}" for number, choice in enumerate(choices)]
    return "\n".join([*shown, question, *options, _ASK[language]])


def _text(place: Place, field: str) -> str:
    value = place.item.get(field)
    if not isinstance(value, str) or not value.strip():
        raise place.error(
            field, f"must be a text, not {value!r}", "take the file as FoodieQA has it"
        )
    if IMAGE in value:
        raise place.error(field, f"holds {IMAGE}", "take the file as FoodieQA has it", "marks")
    return place.encodable(field, value)


def _images(place: Place, kind: str) -> tuple[str, ...]:
    if kind == "text":
        return ()
    if kind == "single":
        meta = place.item["food_meta"]
        value = meta.get("food_file") if isinstance(meta, Mapping) else None
        return (place.image("food_meta.food_file", value),)
    values = place.item["images"]
    if not isinstance(values, list) or not 2 <= len(values) <= len(_LETTERS):
        raise place.error(
            "images",
            f"must be a list of two to four paths, not {values!r}",
            "take the file as FoodieQA has it",
        )
    return tuple(place.image(f"images[{number}]", value) for number, value in enumerate(values))


def _choices(place: Place, field: str, images: tuple[str, ...]) -> tuple[str, ...]:
    value = place.item.get(field)
    if not value and len(images) > 1:
        return ()
    if (
        not isinstance(value, list)
        or not 2 <= len(value) <= len(_LETTERS)
        or not all(isinstance(v, str) and v for v in value)
    ):
        raise place.error(
            field,
            f"must be a list of two to four texts, not {value!r}",
            "give the choices",
            "choices",
        )
    return tuple(
        place.encodable(f"{field}[{number}]", choice) for number, choice in enumerate(value)
    )


def _answer(place: Place, count: int) -> int:
    value = place.item.get("answer")
    good = (
        isinstance(value, (str, int))
        and not isinstance(value, bool)
        and str(value).strip().isascii()
    )
    number = int(str(value)) if good and str(value).strip().isdigit() else -1
    if not 0 <= number < count:
        remedy = f"give the number of the right choice, from 0 to {count - 1}"
        raise place.error(
            "answer",
            f"is {value!r}, and there are {count} choices, counted from 0",
            remedy,
            "choices",
        )
    return number


def _dish(place: Place) -> str:
    meta = place.item["food_meta"]
    name = meta.get("food_name") or place.item.get("food_name")
    if not isinstance(name, str) or not name:
        raise place.error(
            "food_meta.food_name",
            f"must be the dish's name, not {name!r}",
            "take the file as FoodieQA has it",
        )
    return place.encodable("food_meta.food_name", name)


def _meta(item: Mapping[str, Any]) -> dict[str, str]:
    dish = item.get("food_meta")
    found = {key: item.get(key) for key in _META}
    found |= (
        {key: dish.get(key) for key in _DISH_META if dish.get(key)}
        if isinstance(dish, Mapping)
        else {}
    )
    return {
        key: str(value)
        for key, value in found.items()
        if isinstance(value, (str, int)) and value != ""
    }
