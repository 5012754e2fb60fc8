"""What a card says of the engines that did, and did not, ask the finished model."""

from __future__ import annotations

from dataclasses import replace

from hubkit.evaluation.results import Interval
from hubkit.packaging.card import CardInput, Download, MadeFrom, OtherForm, render_card


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


FORM = OtherForm(
    *("GGUF", 4_400_000_000, "llama_cpp", "exact_match", Interval(0.9, 0.86, 0.93), 400, 396),
    repository="acme/X-GGUF",
    download=Download("Hugging Face", "hf download acme/X-GGUF", "https://huggingface.co/acme/X"),
)


def test_the_other_forms_of_a_model_are_linked_and_counted(full: CardInput):
    within = replace(FORM, name="Q8", repository="", download=None, folder="Q8")
    within = replace(within, usage={"Ollama": "`run`"})
    english, chinese = pages(replace(full, forms=(FORM, within)))
    for page in (english, chinese):
        assert "| [acme/X-GGUF](https://huggingface.co/acme/X) | 4.40 GB | 90.0%<br>86.0%" in page
        assert "```bash\nhf download acme/X-GGUF\n```" in page and "| `Q8` |" in page
        assert "`run`" in page
    assert "396 of 400" in english and "396/400" in chinese


def test_a_variant_is_compared_with_what_it_was_made_from(full: CardInput):
    base = replace(full.base, name="acme/X", relation="quantized", page="https://forge/acme/X")
    made_from = MadeFrom("gguf", "llama_cpp", "transformers", 396)
    english, chinese = pages(replace(full, base=base, made_from=made_from, training=None))
    first = full.evaluations[0]
    assert "is quantized from [acme/X](https://forge/acme/X)" in english
    assert f"396 of {first.count} answers are the same text." in english
    assert "Base is `acme/X`, asked by `transformers`; this model was asked by `llama_cpp`" in (
        english
    )
    assert "## Before and after" not in english and "same prompt" not in english
    assert f"396/{first.count} 条回答逐字相同" in chinese and "## 与原模型对比" in chinese
    assert "基座模型为 `acme/X`，由 `transformers` 作答" in chinese
    for page in (english, chinese):
        assert "`hubkit release release.yaml`" in page.rpartition("## ")[2]
