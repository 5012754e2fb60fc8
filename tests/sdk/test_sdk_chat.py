"""From record to conversation, and the special tokens of a folder."""

from __future__ import annotations

import json

import pytest

from hubkit.sdk import (
    DataError,
    Record,
    Turn,
    UsageError,
    Vision,
    prompts,
    segments,
    stop_ids,
    token_ids,
)

VISION = Vision(56, 2, 1, 4, True, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def render(messages, speak):
    text = "".join(f"<{m['role']}>{m['content']}</>" for m in messages)
    return text + ("<assistant>" if speak else "")


def test_pictures_are_placed_in_order():
    record = Record("1", ("a", "b"), (Turn("<image>\nOne?", "x"), Turn("And <image>?", "y")))
    assert prompts(record, [1, 3], VISION) == (
        "<img><IMG_CONTEXT><IMG_CONTEXT></img>\nOne?",
        "And <img>" + "<IMG_CONTEXT>" * 6 + "</img>?",
    )


@pytest.mark.parametrize(
    ("prompt", "tiles", "message"),
    [
        ("no mark", [1], "record 7: 0 <image> in the prompts for 1 pictures"),
        ("<image><image>", [1], "record 7: 2 <image> in the prompts for 1 pictures"),
        ("<image> <IMG_CONTEXT>", [1], "record 7: a prompt contains an image token"),
    ],
)
def test_prompts_that_do_not_fit(prompt, tiles, message):
    with pytest.raises(DataError, match=message):
        prompts(Record("7", ("a",), (Turn(prompt, ""),)), tiles, VISION)


def test_an_answer_with_an_image_token_is_refused_before_it_is_learnt():
    record = Record("7", (), (Turn("Hi", "It is <IMG_CONTEXT>."),))
    with pytest.raises(DataError, match="record 7: an answer contains an image token"):
        prompts(record, [], VISION)


def test_segments_for_training_end_with_the_answer():
    assert list(segments(render, ["a", "b"], ["1", "2"])) == [
        ("<user>a</><assistant>", False),
        ("1</>", True),
        ("<user>b</><assistant>", False),
        ("2</>", True),
    ]


def test_segments_for_generation_end_where_the_model_speaks():
    whole = list(segments(render, ["a", "b"], ["1"]))
    assert whole[-1] == ("<user>b</><assistant>", False)
    assert "".join(text for text, _ in whole) == "<user>a</><assistant>1</><user>b</><assistant>"


def test_a_template_that_drops_earlier_text_is_refused():
    with pytest.raises(UsageError, match="rewrites the conversation"):
        list(segments(lambda messages, speak: messages[-1]["content"], ["a", "b"], ["1"]))


@pytest.mark.parametrize(("value", "ids"), [(2, (2,)), ([92542, 92543], (92542, 92543))])
def test_stop_ids(value, ids):
    assert stop_ids({"eos_token_id": value}) == ids


@pytest.mark.parametrize("value", [None, [], "2", [2, None], True])
def test_no_stop_ids(value):
    with pytest.raises(UsageError, match="eos_token_id is"):
        stop_ids({"eos_token_id": value})


def test_token_ids_come_from_all_three_files(tmp_path):
    (tmp_path / "tokenizer.json").write_text(
        json.dumps({"added_tokens": [{"id": 5, "content": "<img>"}]})
    )
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps(
            {"added_tokens_decoder": {"6": {"content": "</img>"}, "5": {"content": "<img>"}}}
        )
    )
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<IMG_CONTEXT>": 7}))
    assert token_ids(tmp_path) == {"<img>": 5, "</img>": 6, "<IMG_CONTEXT>": 7}
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<img>": 8}))
    with pytest.raises(
        UsageError, match=r"added_tokens\.json: token '<img>' has id 8, but 5 in tokenizer\.json"
    ):
        token_ids(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", '{"added_tokens": [{"id": "x", "content": "a"}]}'])
def test_a_broken_tokenizer_file_is_named(tmp_path, text):
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(UsageError, match=r"tokenizer\.json: not a tokenizer file"):
        token_ids(tmp_path)


def test_a_folder_without_tokenizer_files_has_no_tokens(tmp_path):
    assert token_ids(tmp_path) == {}
