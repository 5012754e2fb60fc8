"""What a card says of the engines that did, and did not, ask the finished model."""

from __future__ import annotations

from dataclasses import replace

from hubkit.packaging.card import CardInput, render_card


def pages(card: CardInput) -> tuple[str, str]:
    files = render_card(card)
    return files["README.md"].decode(), files["README.zh-CN.md"].decode()


def test_an_engine_that_was_not_run_is_named(full: CardInput):
    assert full.smoke is not None
    english, chinese = pages(
        replace(full, smoke=replace(full.smoke, engine="transformers", not_run="lmdeploy"))
    )
    assert (
        "**`lmdeploy` was not run**" in english
        and "`transformers` was asked in its place" in english
    )
    assert "**未运行 `lmdeploy`**" in chinese
    assert not any(
        "not_run" in page or "lmdeploy" in page.split("## ")[-1] for page in (english, chinese)
    )


def test_a_comparison_of_engines_is_counted(full: CardInput):
    assert full.smoke is not None
    smoke = replace(
        full.smoke, engine="lmdeploy", compared_with="transformers", compared=6, differing=1
    )
    english, chinese = pages(replace(full, smoke=smoke))
    assert (
        "`transformers` was asked the same, greedily: 5 of 6 answers are the same text." in english
    )
    assert "6 个回答中有 5 个文字完全相同" in chinese


def test_neither_is_mentioned_when_there_is_nothing_to_say(full: CardInput):
    english, chinese = pages(full)
    assert "was not run" not in english and "asked the same" not in english
    assert "未运行" not in chinese and "同样的问题" not in chinese


def test_what_a_server_does_not_tell_is_said(full: CardInput):
    assert full.smoke is not None
    smoke = replace(full.smoke, engine="openai", prompt="", by_server=True, as_trained=None)
    english, chinese = pages(replace(full, smoke=smoke, evaluated_by_server=True))
    assert "the finished folder was asked through `openai`" in english
    assert "The exact prompt that it made and the token ids are not known" in english
    assert "the exact prompt that the server made of them is not known" in english
    assert "the same prompt" not in english and "exactly the prompt of its training" not in english
    assert "服务器生成的确切提示词及其词元编号未知" in chinese and "确切提示词未知" in chinese
    english, chinese = pages(full)
    assert "asked through" not in english and "服务器" not in chinese
