"""The door for files from outside, and the bounds on JSON."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from hubkit.sdk import json_text
from hubkit.sdk.excerpt import shown
from hubkit.sdk.files import open_file, read_text


def test_only_regular_files_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
        Path("loop").symlink_to("loop")
        Path("device").symlink_to("/dev/zero")
        for name, words in {
            "pipe": "a named pipe, not a regular file",
            "device": "a device, not a regular file",
            "loop": "Too many levels of symbolic links",
            "socket": "No such device or address",
            ".": "Is a directory",
            "a\0b": "the name holds a NUL or is not UTF-8",
            "\udc80\ud800": "the name holds a NUL or is not UTF-8",
            "x" * 300: "File name too long",
        }.items():
            with pytest.raises(OSError) as caught:
                open_file(Path(name))
            assert caught.value.strerror == words, name


def test_texts_have_a_size_and_an_encoding(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbfabc")
    assert read_text(path, 6) == "abc"
    with pytest.raises(OSError, match="larger than 5 bytes"):
        read_text(path, 5)
    path.write_bytes(b"ab\xff")
    with pytest.raises(UnicodeDecodeError) as caught:
        read_text(path)
    assert caught.value.start == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 65 + "]" * 65, "nested deeper than 64"),
        ("[" * 100_000, "nested deeper than 64"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "it names 'c' twice"),
        ("[NaN]", "NaN is not JSON"),
        ("[-Infinity]", "-Infinity is not JSON"),
        ("1e400", "the number '1e400' is too large"),
        ("9" * 101, "a number of 101 digits"),
        ('["\\ud800"]', "'\\ud800' holds half a surrogate pair"),
        ('{"\\uDFFF": 1}', "half a surrogate pair"),
        ("[" + "1," * 5_000_000 + "1]", "more than 4,000,000 items"),
    ],
    ids=lambda value: value[:20],
)
def test_bounds_of_json(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        json_text.parse(text)
    assert words in str(caught.value)


def test_what_models_have_is_within_the_bounds() -> None:
    text = (
        '{"model_max_length": 1000000000000000019884624838656, "a": "\\ud83d\\ude00", "b": -1e-05}'
    )
    assert json_text.parse(text) == {"model_max_length": int(1e30), "a": "😀", "b": -1e-05}
    assert json_text.parse("[" * 64 + "]" * 64)


def test_values_are_shown_in_a_line_or_two() -> None:
    nested: tuple[object, ...] = ()
    for _ in range(60):
        nested = (nested, nested)
    for value in ("x" * 10_000, nested, 10**5000, {"a" * 999: ["b" * 999] * 999}, ["x"] * 10**6):
        assert len(shown(value)) <= 303
    assert shown({"a": [1, "x"], "b": (2.5, None)}) == "{'a': [1, 'x'], 'b': (2.5, None)}"
