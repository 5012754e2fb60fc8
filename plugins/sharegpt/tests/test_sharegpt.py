"""ShareGPT's and OpenAI's conversations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hubkit_sharegpt import ShareGPT

from hubkit.sdk import Record, Terms, Turn
from hubkit.sdk.testing import check_dataset

PLUGIN = ShareGPT()


def write(path: Path, items: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(item) for item in items), "utf-8")
    return path


def said(*texts: str) -> list[dict[str, str]]:
    return [
        {"role": ("user", "assistant")[number % 2], "content": text}
        for number, text in enumerate(texts)
    ]


def test_both_forms_give_the_same_records(tmp_path: Path) -> None:
    items = [
        {
            "id": "1",
            "conversations": [
                {"from": "human", "value": "<image>Hi"},
                {"from": "gpt", "value": "Yes"},
            ],
            "image": "a.png",
        },
        {"id": "2", "messages": said("<image>Hi", "Yes", "Sure?", "Yes."), "images": ["a.png"]},
        {
            "id": "c",
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "image": "x/a.png"},
                        {"type": "text", "text": "What?"},
                    ],
                },
                {"role": "assistant", "content": [{"type": "text", "text": "A dish."}]},
            ],
        },
        {"messages": said("No picture", "Right")},
    ]
    bad = write(tmp_path / "bad.jsonl", [items[0], {"id": "b", "messages": said("Hi")}])
    records = check_dataset(
        PLUGIN,
        write(tmp_path / "data.jsonl", items),
        4,
        bad={bad: "messages: the last message of the user"},
    )
    assert records[:3] == (
        Record("1", ("a.png",), (Turn("<image>Hi", "Yes"),)),
        Record("2", ("a.png",), (Turn("<image>Hi", "Yes"), Turn("Sure?", "Yes."))),
        Record("c", ("x/a.png",), (Turn("<image>\nWhat?", "A dish."),)),
    )
    assert records[3] == Record("3", (), (Turn("No picture", "Right"),))


@pytest.mark.parametrize(
    ("item", "says", "code"),
    [
        ({"id": "x"}, "conversations: is missing (the record has: id)", "keys"),
        (
            {"messages": said("Hi", "x", "y")},
            "the last message of the user has no answer",
            "unanswered",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "`role` is 'tool'", "roles"),
        (
            {"messages": list(reversed(said("Hi", "x")))},
            "a message of the assistant where the user's is due",
            "roles",
        ),
        ({"messages": said("Hi", " ")}, "the assistant's message is empty", "empty"),
        (
            {"messages": said("Hi", "x"), "images": ["a.png"]},
            "has an image but no <image>",
            "marks",
        ),
        ({"messages": said("Hi", "x"), "images": ["../a.png"]}, "leaves the image folder", "path"),
        ({"messages": said("Hi", "x"), "system": "Be brief."}, "a system message", "roles"),
        (
            {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
            "a part of type 'video'",
            "schema",
        ),
        ("text", "must be an object, not str", "schema"),
    ],
)
def test_a_bad_conversation_is_named(tmp_path: Path, item: Any, says: str, code: str) -> None:
    source = tmp_path / "data.json"
    source.write_text(json.dumps([item, {"id": "ok", "messages": said("Hi", "x")}]))
    bad, good = PLUGIN.scan(source, {}, False)
    assert bad.problem is not None and says in bad.problem.message and bad.problem.code == code
    assert good.record == Record("ok", (), (Turn("Hi", "x"),))


def test_repairs_and_system_messages(tmp_path: Path) -> None:
    source = write(
        tmp_path / "data.jsonl",
        [
            {"messages": said("Hi", "x", "y"), "images": ["a.png"]},
            {"messages": [{"role": "system", "content": "S"}, *said("Hi", "x")]},
        ],
    )
    repaired, system = PLUGIN.scan(source, {"system": "prefix"}, True)
    assert repaired.record is not None and repaired.record.turns == (Turn("<image>\nHi", "x"),)
    assert repaired.fixes == (
        "removed the last user message, which has no answer",
        "added <image> to the first prompt",
    )
    assert system.record is not None and system.record.turns == (Turn("S\n\nHi", "x"),)
    dropped = list(PLUGIN.scan(source, {"system": "drop"}, True))[1]
    assert dropped.record is not None and dropped.record.turns == (Turn("Hi", "x"),)
    assert PLUGIN.terms(source, {"license": "mit"}) == Terms("mit")
