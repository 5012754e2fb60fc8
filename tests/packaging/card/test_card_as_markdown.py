"""Both pages read by a Markdown parser: whatever data and models say, only hubkit's own markup
becomes markup."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from testing.cards import sample

from hubkit.evaluation.results import Outcomes
from hubkit.packaging.card import (
    Author,
    CardInput,
    Dataset,
    Download,
    Exchange,
    Smoke,
    render_card,
)
from hubkit.packaging.card.markdown import visible
from hubkit.sdk import Terms

OWN_HTML = re.compile(
    r"<br>|</details>|<details><summary>[^<]*</summary>"
    r"|<img src=\"assets/samples/\d\d\.png\" alt=\"\w+ \d+\" width=\"112\">"
)
OWN_LINKS = {
    "README.md",
    "README.zh-CN.md",
    "assets/loss.png",
    "assets/scores.png",
    "https://huggingface.co/OpenGVLab/InternVL2-2B",
    "https://huggingface.co/example/InternVL2-Tiny",
    "https://huggingface.co/datasets/example/handwritten-digits",
}
MARKUP = st.sampled_from(
    [
        "|",
        "\n",
        "`",
        "```",
        "<",
        ">",
        "</details>",
        "<script>",
        "[a](b)",
        "![",
        "*",
        "_",
        "#",
        "- ",
        "\\",
        "&lt;",
        "$",
        "~~",
        "| a |",
    ]
)
TEXT = st.lists(MARKUP | st.text(max_size=8), max_size=8).map("".join)


def _tokens(page: str) -> Iterator[Token]:
    for token in (
        MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(page)
    ):
        yield token
        yield from token.children or ()


def _body(page: str) -> str:
    return page.split("\n---\n", 1)[1] if page.startswith("---\n") else page


def _assert_only_own_markup(page: str) -> None:
    for token in _tokens(_body(page)):
        if token.type in ("html_inline", "html_block"):
            assert not OWN_HTML.sub("", token.content).strip(), token.content
        if token.type in ("link_open", "image"):
            target = str(token.attrs.get("href") or token.attrs.get("src"))
            assert target in OWN_LINKS or target.startswith("assets/samples/"), target
        assert token.type not in ("s_open", "em_open", "hr", "blockquote_open"), token


def _cells(page: str) -> list[str]:
    """What a reader sees in each table cell."""
    found, inside = [], False
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(_body(page)):
        inside = token.type == "td_open" or (inside and token.type != "td_close")
        if inside and token.type == "inline":
            shown = (
                "\n" if c.content == "<br>" else "" if c.type == "html_inline" else c.content
                for c in token.children or ()
            )
            found.append("".join(shown))
    return found


def _as_shown(text: str) -> str:
    return "\n".join(" ".join(line.split()) for line in visible(text).split("\n")) or "—"


def _card(minimal: CardInput, picture: Path, said: str) -> CardInput:
    return dataclasses.replace(
        minimal,
        title=said or "x",
        summary={"": said},
        intended_use={"": said},
        limits={"": said},
        author=Author(said, said),
        download=Download(said, said),
        datasets=(Dataset("photos", Terms(said, (said,))),),
        samples=(sample((picture,), (said, said, said, said, True, False)),),
        outcomes=Outcomes(1, 0, 0),
        smoke=Smoke("transformers", (Exchange(said, said),), {"torch": said}, said),
    )


def test_the_full_card_has_only_its_own_markup(full: CardInput) -> None:
    files = render_card(full)
    for page in ("README.md", "README.zh-CN.md"):
        _assert_only_own_markup(files[page].decode())


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example("___")
@given(said=TEXT)
def test_text_stays_text(minimal: CardInput, picture: Path, said: str) -> None:
    files = render_card(_card(minimal, picture, said))
    for name in ("README.md", "README.zh-CN.md"):
        page = files[name].decode()
        _assert_only_own_markup(page)
        sections = [token for token in _tokens(_body(page)) if token.type == "heading_open"]
        assert [token.tag for token in sections].count("h1") <= 1
        assert len([token for token in sections if token.tag == "h2"]) == 7


@pytest.mark.parametrize(
    "said",
    [
        "a|b",
        "<script>alert(1)</script>",
        "one\ntwo",
        "C:\\|x",
        "**bold** _it_ `code`",
        "&lt;",
        "- 1. #",
        "$$x$$",
        "红|烧",
    ],
)
def test_readers_see_what_was_said(minimal: CardInput, picture: Path, said: str) -> None:
    cells = _cells(render_card(_card(minimal, picture, said))["README.md"].decode())
    shown = _as_shown(said)
    assert cells[1:5] == [shown, shown, f"{shown} ✗", f"{shown} ✓"]
    assert cells[6:8] == [shown, shown]
