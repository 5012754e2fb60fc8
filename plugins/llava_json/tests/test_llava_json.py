"""LLaVA JSON in all the states in which people have it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hubkit_llava_json import LlavaJson

from hubkit.sdk import DataError, Record, Terms, Turn, UsageError, read_records, write_jsonl
from hubkit.sdk.testing import check_dataset

PLUGIN = LlavaJson()


def turn(role: str, value: str) -> dict[str, str]:
    return {"from": role, "value": value}


def item(**changes: Any) -> dict[str, Any]:
    """A good record, with `changes`; a change to None leaves the key out."""
    good = {
        "id": "7",
        "image": "img/7.png",
        "conversations": [turn("human", "<image>\nWhich digit?"), turn("gpt", "seven")],
    }
    return {key: value for key, value in {**good, **changes}.items() if value is not None}


def talk(*values: str) -> list[dict[str, str]]:
    return [turn(("human", "gpt")[number % 2], value) for number, value in enumerate(values)]


def write(path: Path, items: Any) -> Path:
    path.write_text(json.dumps(items, ensure_ascii=False), "utf-8")
    return path


def read(source: Path, **options: Any) -> list[Record]:
    return list(PLUGIN.records(source, options))


def test_conformance_on_an_array_and_on_lines(tmp_path: Path) -> None:
    items = [
        item(),
        item(
            id="8",
            image=["a.png", "./b/c.png"],
            conversations=talk("<image> <image>\n图中是什么菜？", "豆腐", "Sure?", "Yes."),
        ),
        item(id=9, image=None, conversations=talk("No picture here.", "Right.")),
        item(id=None, image="d é.png", model="gpt-4", width=448),
    ]
    bad = write(tmp_path / "bad.json", [item(), item(id="x", conversations=[])])
    lines = tmp_path / "data.jsonl"
    lines.write_text("\n".join(json.dumps(one) for one in items) + "\n\n", "utf-8")
    records = check_dataset(
        PLUGIN,
        write(tmp_path / "data.json", items),
        4,
        bad={bad: "record 1 (id 'x'), conversations"},
    )
    assert records == (
        Record("7", ("img/7.png",), (Turn("<image>\nWhich digit?", "seven"),)),
        Record(
            "8",
            ("a.png", "b/c.png"),
            (Turn("<image> <image>\n图中是什么菜？", "豆腐"), Turn("Sure?", "Yes.")),
        ),
        Record("9", (), (Turn("No picture here.", "Right."),)),
        Record(
            "3",
            ("d é.png",),
            (Turn("<image>\nWhich digit?", "seven"),),
            {"model": "gpt-4", "width": "448"},
        ),
    )
    assert check_dataset(PLUGIN, lines, 4) == records
    write_jsonl(tmp_path / "records.jsonl", records)
    assert tuple(read_records(tmp_path / "records.jsonl")) == records


@pytest.mark.parametrize(
    ("record", "field", "says"),
    [
        (
            {"id": "7", "image": "a.png", "conversation": talk("<image>", "x")},
            "conversation",
            "`conversation` but no `conversations`",
        ),
        ({"id": "7", "messages": []}, "messages", "there is `messages` but no `conversations`"),
        (
            {"id": "7", "images": ["a.png"], "conversations": []},
            "images",
            "there is `images` but no `image`",
        ),
        (item(conversations=None), "conversations", "is missing (the record has: id, image)"),
        (item(conversations="hello"), "conversations", "must be a list of turns"),
        (item(conversations=[]), "conversations", "must be a list of turns"),
        (
            item(conversations=talk("Which?", "x")),
            "conversations[0]",
            "has an image but no <image> in its first human turn",
        ),
        (
            item(conversations=talk("Hi", "Hi", "<image>", "x")),
            "conversations[0]",
            "no <image> in its first human turn",
        ),
        (
            item(conversations=talk("<image><image>", "x")),
            "conversations",
            "there are 2 <image> for 1 images",
        ),
        (item(image=["a.png", "b.png"]), "conversations", "there are 1 <image> for 2 images"),
        (item(image=None), "conversations", "there are 1 <image> for 0 images"),
        (
            item(conversations=talk("<image>", "see <image>")),
            "conversations",
            "a gpt turn holds <image>",
        ),
        (
            item(conversations=[turn("gpt", "x"), turn("human", "<image>")]),
            "conversations[0]",
            "`from` is 'gpt' where 'human' is due",
        ),
        (
            item(conversations=[turn("user", "<image>"), turn("assistant", "x")]),
            "conversations[0]",
            "`from` is 'user'",
        ),
        (
            item(conversations=[turn("system", "x"), *talk("<image>", "x")]),
            "conversations[0]",
            "`from` is 'system'",
        ),
        (
            item(conversations=talk("<image>", "x", "y")),
            "conversations[2]",
            "the last human turn has no answer",
        ),
        (item(conversations=talk("<image>", " \n")), "conversations[1]", "the gpt turn is empty"),
        (item(conversations=talk("", "x")), "conversations[0]", "the human turn is empty"),
        (
            item(conversations=[turn("human", "<image>"), {"from": "gpt"}]),
            "conversations[1]",
            "must be an object with the texts",
        ),
        (
            item(conversations=[turn("human", "<image>"), "x"]),
            "conversations[1]",
            "must be an object with the texts",
        ),
        (
            item(conversations=talk("<image>", "\ud83c")),
            "conversations[1]",
            "half a surrogate pair",
        ),
        (item(image="/etc/passwd"), "image", "'/etc/passwd' is absolute"),
        (item(image="C:\\x.png"), "image", "is absolute"),
        (item(image="\\\\host\\x.png"), "image", "is absolute"),
        (item(image="../x.png"), "image", "'../x.png' leaves the image folder"),
        (item(image="a/../../x.png"), "image", "leaves the image folder"),
        (item(image="a\\..\\x.png"), "image", "leaves the image folder"),
        (item(image=["a.png", "../b.png"]), "image[1]", "leaves the image folder"),
        (item(image="https://example.org/x.png"), "image", "is an address, not a file"),
        (item(image=""), "image", "must be a path, not ''"),
        (item(image=" "), "image", "must be a path"),
        (item(image="a\0.png"), "image", "must be a path"),
        (item(image=["a.png", 3]), "image[1]", "must be a path, not 3"),
        (item(image={"path": "a"}), "image", "must be a path or a list of paths"),
        (item(id=1.5), "id", "must be text or a whole number"),
        (item(id=True), "id", "must be text or a whole number"),
        (item(id=""), "id", "must be text or a whole number"),
        (item(id="6"), "id", "record 0 has the same id"),
        ([1], "record", "must be an object, not list"),
        (None, "record", "must be an object, not NoneType"),
    ],
)
@pytest.mark.parametrize("form", ["array", "lines"])
def test_a_wrong_record_is_named_with_its_field(
    tmp_path: Path, record: Any, field: str, says: str, form: str
) -> None:
    items = [item(id="6"), record]
    source = tmp_path / "data.json"
    source.write_text(json.dumps(items) if form == "array" else "\n".join(map(json.dumps, items)))
    found: Iterator[Record] = PLUGIN.records(source, {})
    assert next(found).id == "6"
    with pytest.raises(DataError) as caught:
        list(found)
    line = "line 2, " if form == "lines" else ""
    known = (
        f"id {record['id']!r}"
        if isinstance(record, dict) and isinstance(record.get("id"), (str, int))
        else "no id"
    )
    assert caught.value.message.startswith(f"{source}, record 1 ({line}{known}), {field}: ")
    assert says in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the dataset is empty"),
        (b" \n\n", "the dataset is empty"),
        (b"\xef\xbb\xbf", "the dataset is empty"),
        (b"[]", "the dataset is empty"),
        (b"3", "neither a JSON array nor JSON Lines (it starts with b'3')"),
        (b'"text"', "neither a JSON array nor JSON Lines"),
        (b"\x1f\x8b\x08", "neither a JSON array nor JSON Lines"),
        (
            b"[\n" + json.dumps(item()).encode() + b',\n{"id" "2"}\n]',
            ", line 3, column 7: not JSON (Expecting ':' delimiter)",
        ),
        (b'[{"id": "1"', ", line 1, column 12: not JSON"),
        (b"[] []", ", line 1, column 4: not JSON (Extra data)"),
        (
            b'{\n  "data": []\n}',
            ", line 1: neither a JSON array nor JSON Lines (Expecting property name",
        ),
        (
            b'{"data": [], "version": 1}',
            "conversations: is missing (the record has: data, version)",
        ),
        (b'[\n"\xff"]', ", line 2: not UTF-8"),
        ("[\n{}]".encode("utf-16"), "neither a JSON array nor JSON Lines"),
        (b"[" * 100_000, "nested deeper than 64"),
        (b"[" + b"9" * 10_000 + b"]", "record 0 (no id), record: must be an object"),
    ],
)
def test_a_file_that_is_no_dataset(tmp_path: Path, content: bytes, says: str) -> None:
    source = tmp_path / "data.json"
    source.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(source)
    assert caught.value.message.startswith(str(source))
    if says not in caught.value.message:
        assert (
            "a number too long" in caught.value.message
        )  # Python 3.11 and newer limit the digits of a number


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{oops", "not JSON (Expecting property name"),
        (b'"\xff"', "not UTF-8"),
        (b'{"a":' * 99999, "nested deeper"),
    ],
)
def test_json_lines_stream_up_to_the_broken_line(tmp_path: Path, line: bytes, says: str) -> None:
    source = tmp_path / "data.jsonl"
    source.write_bytes(json.dumps(item()).encode() + b"\n" + line + b"\n")
    found = PLUGIN.records(source, {})
    assert next(found).id == "7"
    with pytest.raises(DataError) as caught:
        next(found)
    assert caught.value.message.startswith(f"{source}, line 2")
    assert says in caught.value.message


def test_a_byte_order_mark_and_windows_line_ends_are_taken(tmp_path: Path) -> None:
    source = tmp_path / "data.json"
    source.write_bytes(
        b"\xef\xbb\xbf\r\n" + json.dumps([item()], indent=1).replace("\n", "\r\n").encode()
    )
    assert [record.id for record in read(source)] == ["7"]
    source.write_bytes(
        b"\xef\xbb\xbf" + json.dumps(item()).encode() + b"\r\n" + json.dumps(item(id="8")).encode()
    )
    assert [record.id for record in read(source)] == ["7", "8"]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.json: cannot be read \(No such file"):
        read(tmp_path / "nothing.json")
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        read(tmp_path)


BAD: list[tuple[dict[str, Any], dict[str, Any] | None, str]] = [
    (
        {"id": "a", "image": "a.png", "conversation": talk("<image>\nWhat?", "x")},
        item(id="a", image="a.png", conversations=talk("<image>\nWhat?", "x")),
        "renamed `conversation` to `conversations`",
    ),
    (
        {
            "id": "a",
            "images": ["a.png"],
            "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "x"}],
        },
        item(id="a", image=["a.png"], conversations=talk("<image>\nHi", "x")),
        "renamed the role 'user' to 'human'",
    ),
    (
        item(conversations=talk("Which?", "x")),
        item(conversations=talk("<image>\nWhich?", "x")),
        "added <image>",
    ),
    (
        item(conversations=talk("Hi", "Hi", "<image>\nWhich?", "x")),
        item(conversations=talk("<image>\nHi", "Hi", "Which?", "x")),
        "moved <image> to the first prompt",
    ),
    (
        item(conversations=talk("<image>", "x", "y")),
        item(conversations=talk("<image>", "x")),
        "removed the last human turn",
    ),
    (
        item(conversations=talk("<image>", "x", "y", " ", "z", "w")),
        item(conversations=talk("<image>", "x", "z", "w")),
        "removed 1 turns with an empty answer",
    ),
    (
        item(image="", conversations=talk("Hi", "x")),
        item(image=None, conversations=talk("Hi", "x")),
        "removed an empty `image`",
    ),
    (item(conversations=talk("<image>", "")), None, "the gpt turn is empty"),
    (item(conversations=talk("<image><image>", "x")), None, "there are 2 <image> for 1 images"),
    (item(image="../x.png"), None, "leaves the image folder"),
    (item(conversations=[]), None, "must be a list of turns"),
    (item(conversations=[{"from": ["user"], "value": "<image>"}]), None, "`from` is ['user']"),
    (item(conversations=[turn("system", "x"), *talk("<image>", "x")]), None, "`from` is 'system'"),
]


@pytest.mark.parametrize(("bad", "good", "says"), BAD)
def test_a_scan_goes_on_and_mends_what_is_safe(
    tmp_path: Path, bad: dict[str, Any], good: dict[str, Any] | None, says: str
) -> None:
    source = write(tmp_path / "data.json", [item(id="first"), bad, item(id="last")])
    plain = list(PLUGIN.scan(source, {}, False))
    assert [row.record is None for row in plain] == [False, True, False]
    assert plain[1].problem is not None and plain[1].problem.code
    fixed = list(PLUGIN.scan(source, {}, True))
    assert [row.index for row in fixed] == [0, 1, 2] and not fixed[0].fixes
    if good is None:
        assert fixed[1].problem is not None and says in fixed[1].problem.message
    else:
        (expected,) = read(write(tmp_path / "good.json", [good]))
        assert fixed[1].record == expected
        assert any(says in fix for fix in fixed[1].fixes), fixed[1].fixes


def test_a_scan_goes_on_after_a_broken_line(tmp_path: Path) -> None:
    source = tmp_path / "data.jsonl"
    source.write_bytes(
        b"\n".join(
            [json.dumps(item()).encode(), b"{oops", b'"\xff"', json.dumps(item(id="8")).encode()]
        )
    )
    rows = list(PLUGIN.scan(source, {}, False))
    assert [
        row.record.id if row.record else row.problem.code
        for row in rows
        if row.record or row.problem
    ] == [
        "7",
        "json",
        "encoding",
        "8",
    ]


def test_options_and_terms(tmp_path: Path) -> None:
    source = write(tmp_path / "data.json", [item(), item()])
    assert [record.id for record in read(source, ids="index")] == ["0", "1"]
    with pytest.raises(DataError, match="record 0 has the same id") as caught:
        read(source)
    assert "ids: index" in caught.value.remedy
    with pytest.raises(UsageError, match="unknown key 'idz'"):
        read(source, idz="index")
    with pytest.raises(UsageError, match="ids must be one of 'file', 'index', not 'none'"):
        read(source, ids="none")
    assert PLUGIN.terms(source, {}) == Terms()
    assert PLUGIN.terms(source, {"license": "cc-by-4.0"}) == Terms("cc-by-4.0")
