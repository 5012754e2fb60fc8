"""YAML as people mean it: one reader for release.yaml, --set and --option."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubkit.files import yaml_text
from hubkit.sdk import UsageError, codec

VALUES: list[tuple[str, Any]] = [
    *((word, word) for word in ("on", "off", "yes", "no", "Yes", "OFF", "y", "n")),
    *(("true", True), ("False", False), ("null", None), ("~", None), ("", None)),
    *(("010", 10), ("0o17", 15), ("0x1f", 31), ("-7", -7), ("1_000", "1_000"), ("1:30", "1:30")),
    *(("3e-5", 3e-5), (".5", 0.5), ("1.", 1.0), ("0x_", "0x_"), ("+", "+")),
    *(("2026-01-31", "2026-01-31"), ("2026-99-99", "2026-99-99"), ("v1.0.0", "v1.0.0")),
    *(("[on, 1]", ["on", 1]), ("{a: off}", {"a": "off"}), ("'on'", "on"), ("<<", "<<")),
]


@pytest.mark.parametrize(("text", "value"), VALUES, ids=[text for text, _ in VALUES])
def test_values(text: str, value: Any) -> None:
    found = yaml_text.load(text)
    assert (found, type(found)) == (value, type(value))


BOMB = "a0: &a0 [x]\n" + "\n".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: 'a' is given twice (first on line 1)"),
        ("a: [1", "line 1: "),
        ("a: &a [*a]", "an alias that contains itself"),
        ("[" * 5000, "nested"),
        ("x: " + "9" * 5000, "a number of 5,000 characters"),
        ("x: .inf", "not a finite number"),
        (BOMB, "as often as aliases repeat it"),
        ("!!python/object/apply:os.system x", "could not determine a constructor"),
    ],
    ids=["twice", "open", "loop", "deep", "digits", "infinite", "bomb", "tag"],
)
def test_what_nobody_means_is_refused_in_a_second(text: str, told: str) -> None:
    started = time.monotonic()
    with pytest.raises(ValueError) as caught:
        yaml_text.load(text)
    assert told in str(caught.value) and time.monotonic() - started < 1


@given(st.text(max_size=60))
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    try:
        yaml_text.load(text)
    except ValueError as error:
        assert str(error)


@dataclass(frozen=True)
class Options:
    xet: Literal["auto", "on", "off"] = "auto"
    private: bool = True


@pytest.mark.parametrize(("word", "private"), [("on", True), ("no", False), ("true", True)])
def test_a_word_is_a_switch_where_the_option_is_one(word: str, private: bool) -> None:
    given = {"xet": yaml_text.load("off"), "private": yaml_text.load(word)}
    assert codec.decode(Options, given, "options") == Options("off", private)
    with pytest.raises(UsageError, match="xet must be one of 'auto', 'on', 'off', not 'yes'"):
        codec.decode(Options, {"xet": yaml_text.load("yes")}, "options")
    with pytest.raises(UsageError, match="private must be true or false, not 'maybe'"):
        codec.decode(Options, {"private": yaml_text.load("maybe")}, "options")


def test_a_release_file_reads_the_same(tmp_path: Path) -> None:
    from hubkit.pipeline.spec.yaml_lines import read

    (tmp_path / "release.yaml").write_text("verify:\n  deep: yes\ntag: 2026-01-31\nxet: off\n")
    document = read(tmp_path / "release.yaml")
    assert document.data == {"verify": {"deep": "yes"}, "tag": "2026-01-31", "xet": "off"}
    from hubkit.pipeline.spec.model import Spec

    verify = Spec.model_fields["verify"].annotation
    assert verify.model_validate({"deep": "yes"}).deep is True  # type: ignore[union-attr]
    assert verify.model_validate({"deep": "off"}).deep is False  # type: ignore[union-attr]
