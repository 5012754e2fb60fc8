"""tokenizer.json made from a sentencepiece model: ids and texts as sentencepiece itself gives
them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from testing.rights import ordinary
from testing.tiny_sentencepiece import CHAT, IMAGE, TEXTS, train, write

from hubkit.registry.plugins import plugins
from hubkit.sdk import UsageError, WeightsError
from hubkit.weights.convert import to_native
from hubkit.weights.model import Model
from hubkit.weights.sentencepiece import read_sentencepiece
from hubkit.weights.tokenizer import from_sentencepiece

spm = pytest.importorskip("sentencepiece")
tokenizers = pytest.importorskip("tokenizers")

WORDS = st.sampled_from(
    [word for text in TEXTS for word in text.split(" ")]
    + [" ", "  ", "\n", "\t", "▁", "<s>", "🍜", "<0x0A>"]
)
STRINGS = st.one_of(
    st.text(max_size=40),
    st.lists(WORDS, max_size=12).map(" ".join),
    st.lists(WORDS, max_size=12).map("".join),
)


@pytest.fixture(scope="module", params=["identity", "prefix", "spaces"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Any, set[str]]:
    """(sentencepiece's processor, the tokenizer made from the same model, what a text may not
    hold)"""
    options = {
        "identity": {},
        "prefix": {"add_dummy_prefix": True},
        "spaces": {"remove_extra_whitespaces": True, "add_dummy_prefix": True},
    }[request.param]
    folder = tmp_path_factory.mktemp("tokenizer")
    processor = write(folder, train(**options))
    apart = {"<s>", "</s>", "<unk>", *CHAT, *IMAGE} | (
        {"▁"} if request.param == "spaces" else set()
    )
    return processor, tokenizers.Tokenizer.from_str(json.dumps(from_sentencepiece(folder))), apart


@settings(max_examples=400, deadline=None)
@given(text=STRINGS)
def test_ids_and_texts_are_sentencepieces(pair: tuple[Any, Any, set[str]], text: str) -> None:
    processor, tokenizer, apart = pair
    for token in apart:
        text = text.replace(token, "")
    ids = processor.encode(text)
    assert tokenizer.encode(text, add_special_tokens=False).ids == ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == processor.decode(ids)


@pytest.fixture(scope="module")
def native(
    tmp_path_factory: pytest.TempPathFactory, official_internvl: Callable[..., Path]
) -> tuple[Path, Any]:
    """A model with tokenizer.model and no tokenizer.json in transformers' layout, and
    sentencepiece's processor."""
    top = tmp_path_factory.mktemp("native")
    base = official_internvl(top / "base")
    (base / "tokenizer.json").unlink()
    processor = write(base, train())
    to_native(Model.of(base, plugins().get("family", "internvl")), top / "native")
    return top / "native", processor


def by_hand(processor: Any, text: str, tokens: dict[str, int]) -> list[int]:
    """What the official tokenizer does: special tokens are cut out, sentencepiece has the rest."""
    pieces = re.split("(" + "|".join(map(re.escape, tokens)) + ")", text)
    return [
        i
        for piece in pieces
        for i in ([tokens[piece]] if piece in tokens else processor.encode(piece))
    ]


@settings(max_examples=150, deadline=None)
@given(parts=st.lists(st.one_of(STRINGS, st.sampled_from([*CHAT, *IMAGE, "</s>"])), max_size=6))
def test_special_tokens_have_the_official_ids(native: tuple[Path, Any], parts: list[str]) -> None:
    folder, processor = native
    tokens = {
        **json.loads((folder / "added_tokens.json").read_text()),
        "<unk>": 0,
        "<s>": 1,
        "</s>": 2,
    }
    assert {
        token: tokens[token] for token in ("<|im_start|>", "<|im_end|>", "<img>", "</box>")
    } == {
        "<|im_start|>": 3,
        "<|im_end|>": 4,
        "<img>": 470,
        "</box>": 478,
    }
    text = "".join(parts)
    assert load(folder)(text, add_special_tokens=False).input_ids == by_hand(
        processor, text, tokens
    )


@lru_cache
def load(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def test_transformers_loads_it_without_code(native: tuple[Path, Any]) -> None:
    folder, processor = native
    assert (
        not (folder / "tokenizer.model").exists()
        and b"auto_map" not in (folder / "tokenizer_config.json").read_bytes()
    )
    tokenizer = load(folder)
    assert tokenizer("The fox").input_ids == [1, *processor.encode("The fox")]
    assert tokenizer.context_image_token_id == 472 and len(tokenizer) == 479
    assert (
        tokenizer.decode([1, *processor.encode("这道菜 🍜"), 4], skip_special_tokens=True)
        == "这道菜 🍜"
    )


def test_a_user_defined_piece_is_cut_out_first(tmp_path: Path) -> None:
    processor = write(tmp_path, train(user_defined_symbols=["<sep>"]))
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(from_sentencepiece(tmp_path)))
    for text in ("a<sep>dog", "<sep><sep> the", "quick<se"):
        assert tokenizer.encode(text, add_special_tokens=False).ids == processor.encode(text)


def test_what_cannot_be_expressed_is_said(tmp_path: Path) -> None:
    for name, options, words in (
        ("unigram", {"model_type": "unigram", "vocab_size": 350}, "not of the kind BPE"),
        ("suffix", {"treat_whitespace_as_suffix": True}, "spaces in an unusual way"),
    ):
        write(tmp_path / name, train(**options))
        with pytest.raises(UsageError, match=words):
            from_sentencepiece(tmp_path / name)


def test_a_token_that_is_a_piece_of_another_id(tmp_path: Path) -> None:
    write(tmp_path, train())
    from_sentencepiece(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config["added_tokens_decoder"]["999"] = {"content": "<0x0A>"}
    path.write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="token '<0x0A>' has the ids 16 and 999") as caught:
        from_sentencepiece(tmp_path)
    assert "one model" in caught.value.remedy
    (tmp_path / "tokenizer.model").chmod(0)
    with ordinary(), pytest.raises(WeightsError, match=r"tokenizer\.model cannot be read \(Perm"):
        from_sentencepiece(tmp_path)


def test_two_ids_for_one_token(tmp_path: Path) -> None:
    write(tmp_path, train(), added_tokens_decoder={"7": {"content": "<img>"}})
    with pytest.raises(WeightsError, match="'<img>' has the ids 470 and 7"):
        from_sentencepiece(tmp_path)


@settings(max_examples=100, deadline=None)
@given(where=st.integers(0, 9000), what=st.binary(min_size=1, max_size=6), cut=st.booleans())
def test_a_damaged_model_is_refused_or_read(
    native: tuple[Path, Any], where: int, what: bytes, cut: bool
) -> None:
    folder = native[0].parent / "base"
    model = (folder / "tokenizer.model").read_bytes()
    at = where % len(model)
    path = native[0].parent / "damaged.model"
    path.write_bytes(model[:at] + (b"" if cut else what + model[at + len(what) :]))
    try:
        assert isinstance(read_sentencepiece(path).pieces, tuple)
    except WeightsError as error:
        assert "damaged.model is not a sentencepiece model" in error.message


def test_a_table_of_characters_is_refused(tmp_path: Path) -> None:
    write(tmp_path, train(normalization_rule_name="nmt_nfkc"))
    with pytest.raises(UsageError, match="by a table"):
        from_sentencepiece(tmp_path)
