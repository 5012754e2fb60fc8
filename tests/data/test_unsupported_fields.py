"""Fields and marks that change what is learnt: every dataset adapter refuses them by name, from one
list, and keeps the others as meta."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from testing import foodie

from hubkit.data.scan import rows
from hubkit.sdk import Row
from hubkit.sdk.unsupported_fields import FIELDS, IN_TURNS, MASK, foreign_mark, reason

ADAPTERS = ("llava_json", "sharegpt", "hf_datasets", "foodieqa")
READ = {
    "llava_json": {"image", "conversations", *IN_TURNS},
    "sharegpt": {"images", "messages", "system", *IN_TURNS},
    "hf_datasets": {"image", "conversation", "conversations", "messages"},
    "foodieqa": {"choices", "images"},
}
"""Of FIELDS, what an adapter reads or what does no harm in its form."""
PATTERNED = [
    *("video", "Videos", "video_path", "videoPath", "audio", "audios", "speech", "audio-url"),
    *("image_1", "image2", "chosen", "rejected", "rejected_response", "Chosen Messages"),
    *("input_audio", "audio_features", "photo_b", "is_preferred", "answer_worse"),
]
NAMES = sorted(FIELDS) + PATTERNED
SAYS = st.one_of(
    st.sampled_from(["clip.mp4", "x", ["a.mp4"], {"ref": ["cup"], "bbox": [[1, 2, 3, 4]]}]),
    st.integers(2, 9),
    st.lists(st.sampled_from([{"role": "user", "content": "hi"}, "t", 1.5]), min_size=1),
)
SAYS_NOTHING = st.sampled_from([None, "", " ", [], {}, [None], {"bytes": None}, [[]], [""]])
HARMLESS = {"source": "web", "score": 0.5, "difficulty": {"level": 3}, "tags": ["a", "b"]}


def item(adapter: str, prompt: str = "Which?", answer: str = "tofu") -> dict[str, Any]:
    if adapter == "llava_json":
        turns = [{"from": "human", "value": f"<image>\n{prompt}"}, {"from": "gpt", "value": answer}]
        return {"id": "7", "image": "a.png", "conversations": turns}
    if adapter == "sharegpt":
        said = [
            {"role": "user", "content": f"<image>\n{prompt}"},
            {"role": "assistant", "content": answer},
        ]
        return {"id": "7", "images": ["a.png"], "messages": said}
    if adapter == "hf_datasets":
        return {"id": "7", "image": "a.png", "question": prompt, "answer": answer}
    return {**foodie.single(7), "question": prompt, "choices": [answer, "b"], "answer": "0"}


def scan(adapter: str, source: Path, *items: dict[str, Any], fix: bool = False) -> list[Row]:
    source.write_text("".join(json.dumps(one) + "\n" for one in items), "utf-8")
    return list(rows(adapter, source, {}, fix=fix))


def messages_of(one: dict[str, Any]) -> list[dict[str, Any]]:
    return one.get("conversations") or one.get("messages") or []


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_field_that_changes_the_meaning_is_refused_by_name(adapter: str, tmp_path: Path) -> None:
    names = [name for name in NAMES if name not in READ[adapter]]

    @seed(14)
    @settings(
        max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(name=st.sampled_from(names), value=SAYS, fix=st.booleans())
    def check(name: str, value: Any, fix: bool) -> None:
        (row,) = scan(adapter, tmp_path / "d.jsonl", {**item(adapter), name: value}, fix=fix)
        assert row.record is None and row.problem is not None, (name, value)
        assert row.problem.code == "fields" and f", {name}: " in row.problem.message
        assert f"remove `{name}`" in row.problem.remedy
        (repaired,) = scan(adapter, tmp_path / "d.jsonl", item(adapter))  # as the remedy says
        assert repaired.record is not None

    check()


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_name_of_the_list_is_refused_and_says_nothing_when_empty(
    adapter: str, tmp_path: Path
) -> None:
    names = [name for name in NAMES if name not in READ[adapter]]
    good = [{**item(adapter), "id": name, "question_id": name, name: None} for name in names]
    bad = [{**one, name: "x"} for one, name in zip(good, names, strict=True)]
    for name, row in zip(names, scan(adapter, tmp_path / "bad.jsonl", *bad), strict=True):
        assert row.problem is not None and f", {name}: " in row.problem.message, name
    assert all(row.record for row in scan(adapter, tmp_path / "good.jsonl", *good))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_empty_fields_are_harmless_and_others_are_kept_as_meta(
    adapter: str, tmp_path: Path
) -> None:
    names = [name for name in NAMES if name not in READ[adapter] and reason(name) != MASK]

    @seed(14)
    @settings(
        max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(name=st.sampled_from(names), value=SAYS_NOTHING | st.just(False))
    def check(name: str, value: Any) -> None:
        one = {**item(adapter), **HARMLESS, name: value}
        (row,) = scan(adapter, tmp_path / "d.jsonl", one)
        assert row.record is not None, row.problem
        kept = {key: row.record.meta[key] for key in HARMLESS}
        assert kept == {
            "source": "web",
            "score": "0.5",
            "difficulty": '{"level": 3}',
            "tags": '["a", "b"]',
        }
        assert name not in row.record.meta

    check()


MASKS = [
    ("loss", True, True),
    ("loss", 1, True),
    ("weight", 1.0, True),
    ("weight", "1", True),
    ("train", "true", True),
    ("masked", False, True),
    ("mask", 0, True),
    ("loss", None, True),
    ("loss", False, False),
    ("loss", 0, False),
    ("weight", 0.5, False),
    ("weight", 2, False),
    ("loss_mask", [1, 0, 1], False),
    ("masked", True, False),
    ("lossScale", "0.0", False),
]


@pytest.mark.parametrize(("name", "value", "harmless"), MASKS)
@pytest.mark.parametrize("adapter", ["llava_json", "sharegpt"])
def test_masks_of_a_turn(
    adapter: str, name: str, value: Any, harmless: bool, tmp_path: Path
) -> None:
    """What a mask leaves as it is passes; a prompt is learnt by nobody, so there it is the other
    way round."""
    asked, answered = item(adapter), item(adapter)
    messages_of(answered)[1][name] = value
    messages_of(asked)[0][name] = value
    one, other = scan(adapter, tmp_path / "d.jsonl", answered, {**asked, "id": "8"})
    field = "conversations[1]" if adapter == "llava_json" else "messages[1]"
    if harmless:
        assert one.record is not None
    else:
        assert one.problem is not None and f"{field}.{name}: a mask" in one.problem.message
    plain = value is None or str(value).casefold() in ("true", "false", "1", "0", "1.0", "0.0")
    assert (other.record is not None) == (value is None or (plain and not harmless))


@pytest.mark.parametrize("adapter", ["llava_json", "sharegpt", "hf_datasets"])
@pytest.mark.parametrize("name", ["tool_calls", "video", "reasoning_content", "objects"])
def test_fields_of_a_turn(adapter: str, name: str, tmp_path: Path) -> None:
    one = item("sharegpt" if adapter == "hf_datasets" else adapter)
    messages_of(one)[1][name] = [{"name": "look"}]
    (row,) = scan(adapter, tmp_path / "d.jsonl", one)
    assert row.problem is not None and f"[1].{name}: " in row.problem.message


MARKS = [
    *("<video>", "<Video>", "<audio>", "<speech>", "<bbox>", "<ref-object>", "<img>", "</img>"),
    *("<image1>", "<image_1>", "<image 1>", "<image-2>", "<IMAGE>", "<Image>", "<IMG_CONTEXT>"),
    *("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|image_1|>", "<|image|>"),
    *(
        "<im_patch>",
        "<im_start>",
        "<start_of_image>",
        "<image_placeholder>",
        "<IMAGE_TOKEN>",
        "<video_1>",
    ),
    *("<ImageHere>", "<images>", "<image:1>", "<image#2>", "<imgpad>", "<begin_of_image>"),
    *("<region1>", "<SEG>", "<|box_start|>", "<|object_ref_end|>", "<｜image｜>", "<point_cloud>"),
]


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_marks_for_what_is_not_put_there(adapter: str, tmp_path: Path) -> None:
    items = [item(adapter, f"{mark} Which?") for mark in MARKS]
    items += [item(adapter, answer=f"It is {mark}.") for mark in MARKS]
    for number, one in enumerate(items):
        one |= {"id": str(number), "question_id": str(number)}
    for mark, row in zip(MARKS * 2, scan(adapter, tmp_path / "d.jsonl", *items), strict=True):
        if adapter == "foodieqa" and row.record and mark not in row.record.turns[0].answer:
            continue  # an answer of its form is a letter; the choices stand in the prompt
        assert row.problem is not None and row.problem.code == "marks", mark
        assert f"the mark {mark} stands for nothing" in row.problem.message
    img = item(adapter, "<img>a.png</img> Which?")
    (row,) = scan(adapter, tmp_path / "d.jsonl", img)
    assert row.problem is not None and "the mark <img> stands" in row.problem.message


@pytest.mark.parametrize(
    "text",
    ["a < b > c", "<b>bold</b>", "List<image_t> no", "<imagine>", "<ref>cup</ref>", "<image>"],
)
def test_other_angle_brackets_are_text(text: str) -> None:
    assert foreign_mark(text.replace("<image_t>", "<T>")) == ""


SILENT = {
    "llava_json": [
        ({"target_image": "b.png"}, "target_image"),
        ({"seg_masks": ["a.png", "other/a_mask.PNG"]}, "seg_masks"),
        ({"image": None, "conversations": None, "source": "clip.mp4"}, "source"),
        ({"label": False}, "label"),
        ({"image": None, "image_path": "a.png", "conversations": None}, "image_path"),
        ({"images": ["b.png"]}, "images"),
        ({"messages": [{"role": "user", "content": "x"}]}, "messages"),
    ],
    "sharegpt": [
        ({"left_photo": {"path": "b.jpg"}}, "left_photo"),
        ({"images": [], "messages": None, "notes": {"of": ["a.wav"]}}, "notes"),
        ({"images": [], "image_url": "a.png", "messages": None}, "image_url"),
        ({"image": "b.png"}, "image"),
        ({"conversations": None, "conversation": [{"from": "human"}]}, "conversation"),
    ],
    "hf_datasets": [
        ({"images": ["b.png"]}, "images"),
        ({"choices": ["red", "blue"]}, "choices"),
        ({"context": "A tall man."}, "context"),
        ({"image_1": {"bytes": None, "path": "b.png"}}, "image_1"),
    ],
}


@pytest.mark.parametrize(
    ("adapter", "change", "name"),
    [(adapter, *case) for adapter, cases in SILENT.items() for case in cases],
)
def test_what_was_passed_over_without_a_word(
    adapter: str, change: dict[str, Any], name: str, tmp_path: Path
) -> None:
    one = {**item(adapter), **change}
    talk = "conversations" if adapter == "llava_json" else "messages"
    if one.get(talk, 0) is None:
        one[talk] = json.loads(json.dumps(messages_of(item(adapter))).replace("<image>\\n", ""))
    (row,) = scan(adapter, tmp_path / "d.jsonl", one)
    assert row.problem is not None and f", {name}: " in row.problem.message


def test_where_a_picture_came_from_is_meta(tmp_path: Path) -> None:
    origin = {"image_url": "http://x/1.jpg", "image_source": "coco/a.png", "image_size": [3, 4]}
    more = {"masked_image_note": "none", "label": True, "source": "clip.mp4"}
    (row,) = scan("llava_json", tmp_path / "d.jsonl", {**item("llava_json"), **origin, **more})
    assert row.record is not None, row.problem
    assert row.record.meta.keys() == origin.keys() | more.keys()


def test_a_picture_in_a_part_that_is_text(tmp_path: Path) -> None:
    one = item("sharegpt")
    one["messages"][0]["content"] = [{"type": "text", "text": "Which?", "image": "b.png"}]
    (row,) = scan("sharegpt", tmp_path / "d.jsonl", one)
    assert row.problem is not None and "content[0].image: a picture" in row.problem.message


def test_an_instruction_with_its_input(tmp_path: Path) -> None:
    table = {"instruction": "Translate", "input": "豆腐", "output": "tofu"}
    whole, alone = scan("hf_datasets", tmp_path / "d.jsonl", table, {**table, "input": ""})
    assert whole.problem is not None and ", input: a part of the question" in whole.problem.message
    assert alone.record is not None
    row, _ = rows("hf_datasets", tmp_path / "d.jsonl", {"question": "input"})
    assert row.record is not None and row.record.turns[0].prompt == "豆腐"


def test_bytes_in_a_column_that_is_not_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    row = {"question": "Which?", "answer": "tofu", "map": {"bytes": b"\x89PNG", "path": None}}
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "t.parquet")
    (found,) = rows("hf_datasets", tmp_path / "t.parquet", {})
    assert found.problem is not None and ", map: bytes that are not read" in found.problem.message


def test_meta_travels_through_prepare(tmp_path: Path) -> None:
    import hubkit

    source = tmp_path / "d.jsonl"
    one = {**item("llava_json"), **HARMLESS}
    one["conversations"][0]["value"], one["image"] = "Which?", None
    source.write_text(json.dumps(one) + "\n")
    hubkit.prepare(source, tmp_path / "out")
    (again,) = rows("llava_json", tmp_path / "out" / "train.jsonl", {})
    (first,) = rows("llava_json", source, {})
    assert again.record == first.record and again.record is not None
    assert again.record.meta["tags"] == '["a", "b"]'
