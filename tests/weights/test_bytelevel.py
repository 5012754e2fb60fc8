"""tokenizer.json made from vocab.json and merges.txt: ids and texts as transformers' own Qwen2
tokenizer gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.sdk import UsageError, WeightsError
from hubkit.weights.bytelevel import from_vocabulary

tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")

TEXTS = [
    "It's the dog's: 1234 dishes, isn't it?",
    "这道菜是什么？图中的菜是麻婆豆腐。",
    "def main():\n    return  [x ** 2]\r\n",
    "naïve café ÉTÉ",
]
ADDED = {
    "<|endoftext|>": "special",
    "<|im_start|>": "special",
    "<IMG_CONTEXT>": "special",
    "<ref>": "plain",
}
PARTS = st.sampled_from(
    [
        *ADDED,
        *(word for text in TEXTS for word in text.split(" ")),
        "e\u0301",
        " ",
        "  ",
        "\n",
        "🍜",
    ]
)


def write(folder: Path, **more: Any) -> Path:
    """A byte-level BPE trained here, in the files that the 1B models have."""
    folder.mkdir()
    model = tokenizers.ByteLevelBPETokenizer()
    model.train_from_iterator(TEXTS * 8, vocab_size=400, show_progress=False)
    model.save_model(str(folder))
    first = model.get_vocab_size()
    added = {text: first + number for number, text in enumerate(ADDED)}
    (folder / "added_tokens.json").write_text(json.dumps(added))
    decoder = {
        str(added[text]): {"content": text, "special": kind == "special"}
        for text, kind in ADDED.items()
    }
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "eos_token": "<|endoftext|>",
        "added_tokens_decoder": decoder,
        **more,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    folder = write(tmp_path_factory.mktemp("qwen") / "model")
    ours = tokenizers.Tokenizer.from_str(json.dumps(from_vocabulary(folder)))
    return ours, transformers.Qwen2Tokenizer.from_pretrained(folder)


@given(text=st.one_of(st.text(max_size=40), st.lists(PARTS, max_size=10).map("".join)))
@settings(max_examples=150, deadline=None)
def test_ids_and_texts_are_those_of_transformers(pair: tuple[Any, Any], text: str) -> None:
    ours, theirs = pair
    ids = ours.encode(text, add_special_tokens=False).ids
    assert ids == theirs(text, add_special_tokens=False).input_ids
    assert ours.decode(ids, skip_special_tokens=True) == theirs.decode(
        ids, skip_special_tokens=True
    )


def test_special_tokens_are_one_id(pair: tuple[Any, Any]) -> None:
    ours, _ = pair
    vocabulary = ours.get_vocab()
    assert (
        ours.encode("a<IMG_CONTEXT>b", add_special_tokens=False).ids[1]
        == vocabulary["<IMG_CONTEXT>"]
    )
    assert (
        ours.decode([vocabulary["<ref>"], vocabulary["<|im_start|>"]], skip_special_tokens=True)
        == "<ref>"
    )


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tokenizer_class is 'GPT2Tokenizer'"):
        from_vocabulary(write(tmp_path / "other", tokenizer_class="GPT2Tokenizer"))
    folder = write(tmp_path / "broken")
    with (folder / "merges.txt").open("a", encoding="utf-8") as file:
        file.write("nothing here\n")
    lines = (folder / "merges.txt").read_text(encoding="utf-8").count("\n")
    with pytest.raises(WeightsError, match=rf"merges\.txt, line {lines}: 'nothing here'"):
        from_vocabulary(folder)
    (folder / "vocab.json").write_text('{"a": -1}')
    with pytest.raises(WeightsError, match=r"vocab\.json: token 'a' has the id -1"):
        from_vocabulary(folder)
