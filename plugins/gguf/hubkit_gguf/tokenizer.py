"""tokenizer.json, its special tokens and the chat template, as llama.cpp reads them.

A byte-level tokenizer splits text first, by a rule that llama.cpp must know: which one follows from
the file's pre-tokenizer. One that was made from sentencepiece has no such rule; there a piece's
score says when it is made, and the order of the merges gives it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubkit.sdk import RefusedError, UsageError, json_text, stop_ids
from hubkit.sdk.files import read_text

_QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA3 = _QWEN.replace(r"|\p{N}| ", r"|\p{N}{1,3}| ")
_RULES = {_QWEN: "qwen2", _LLAMA3: "llama-bpe"}
"""Regular expressions of `Split` by llama.cpp's names (src/llama-vocab.cpp)."""
_NORMAL, _UNKNOWN, _CONTROL, _OWN, _UNUSED, _BYTE = range(1, 7)
_BYTE_TOKEN = re.compile(r"<0x[0-9A-F]{2}>")


def add_tokenizer(writer: Any, model: Path, native: Path, rows: int) -> None:
    """The vocabulary is filled up to `rows`, those of the embedding.

    Raises:
        RefusedError: llama.cpp has no rule for this tokenizer.
        UsageError: a file says something that cannot be.
    """
    data = json_text.load(native / "tokenizer.json")
    settings = json_text.load(model / "tokenizer_config.json")
    tokens, kinds = _vocabulary(data, settings, rows)
    merges = [
        one.split(" ") if isinstance(one, str) else list(one) for one in data["model"]["merges"]
    ]
    if data["model"].get("byte_fallback"):
        _add_pieces(writer, data, tokens, kinds, merges)
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(_rule(data))
        writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    ids = {token: number for number, token in enumerate(tokens)}
    stops = stop_ids(json_text.load(model / "generation_config.json"))
    if len(stops) > 3 or max(stops) >= rows:
        raise RefusedError(
            f"generation_config.json: eos_token_id is {list(stops)}; GGUF has room for three "
            "tokens of the vocabulary",
            "leave out those with which no answer ends",
        )
    for number, add in zip(
        stops,
        (writer.add_eos_token_id, writer.add_eot_token_id, writer.add_eom_token_id),
        strict=False,
    ):
        add(number)
    for key, add in (
        ("bos_token", writer.add_bos_token_id),
        ("pad_token", writer.add_pad_token_id),
    ):
        if (token := _text(settings.get(key))) in ids:
            add(ids[token])
    # The template writes what stands first, as in training.
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(chat_template(model, settings))


def chat_template(model: Path, settings: Mapping[str, Any]) -> str:
    """Raises UsageError when the folder has none."""
    file = model / "chat_template.jinja"
    found = read_text(file) if file.is_file() else settings.get("chat_template")
    if isinstance(found, list):
        found = {one.get("name"): one.get("template") for one in found}.get("default")
    if not isinstance(found, str):
        raise UsageError(
            f"{model.name} has no chat template", "give tokenizer_config.json a chat_template"
        )
    return found


def _rule(data: Mapping[str, Any]) -> str:
    before = data.get("pre_tokenizer") or {}
    parts = before.get("pretokenizers", [before])
    kinds = [part.get("type") for part in parts]
    normalizer = (data.get("normalizer") or {}).get("type")
    known = data["model"].get("type") == "BPE" and not data["model"].get("byte_fallback")
    if known and normalizer in (None, "NFC") and kinds[-1:] == ["ByteLevel"]:
        plain = not parts[-1].get("add_prefix_space", True)
        if kinds == ["ByteLevel"] and plain:
            return "gpt-2"
        if kinds == ["Digits", "ByteLevel"] and parts[0].get("individual_digits") and plain:
            return "smollm"
        if kinds == ["Split", "ByteLevel"] and plain:
            pattern = (parts[0].get("pattern") or {}).get("Regex")
            if parts[0].get("behavior") == "Isolated" and pattern in _RULES:
                return _RULES[pattern]
    raise RefusedError(
        f"tokenizer.json: no rule of llama.cpp splits text as this tokenizer does ({kinds}, "
        f"normalizer {normalizer}, model {data['model'].get('type')})",
        "leave the variant out of the release file",
    )


def _add_pieces(
    writer: Any,
    data: Mapping[str, Any],
    tokens: Sequence[str],
    kinds: list[int],
    merges: Sequence[Sequence[str]],
) -> None:
    """Raises RefusedError where spaces are not written as sentencepiece does."""
    steps = (data.get("normalizer") or {}).get("normalizers", [])
    names = [step.get("type") for step in steps]
    space = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    if names not in (["Replace"], ["Prepend", "Replace"]) or steps[-1] != space:
        raise RefusedError(
            f"tokenizer.json: no rule of llama.cpp writes spaces as this tokenizer does ({names})",
            "leave the variant out of the release file",
        )
    made: dict[str, int] = {}
    for rank, (left, right) in enumerate(merges):
        made.setdefault(left + right, rank)
    for number, token in enumerate(tokens):
        if kinds[number] == _NORMAL and _BYTE_TOKEN.fullmatch(token):
            kinds[number] = _BYTE
        elif token == data["model"].get("unk_token"):
            kinds[number] = _UNKNOWN
            writer.add_unk_token_id(number)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_scores([-float(made.get(token, len(made))) for token in tokens])
    writer.add_add_space_prefix(names[0] == "Prepend")


def _vocabulary(
    data: Mapping[str, Any], settings: Mapping[str, Any], rows: int
) -> tuple[list[str], list[int]]:
    tokens = [f"[PAD{number}]" for number in range(rows)]
    kinds = [_UNUSED] * rows
    named: dict[int, tuple[str, int]] = {
        number: (token, _NORMAL) for token, number in data["model"]["vocab"].items()
    }
    added = {int(one["id"]): one for one in data.get("added_tokens") or ()}
    added |= {int(key): one for key, one in (settings.get("added_tokens_decoder") or {}).items()}
    for number, one in added.items():
        named[number] = (one["content"], _CONTROL if one.get("special") else _OWN)
    for number, (token, kind) in named.items():
        if not 0 <= number < rows:
            raise UsageError(
                f"the token {token!r} has the id {number}, the embedding {rows} rows",
                "take the tokenizer's files from the base again",
            )
        tokens[number], kinds[number] = token, kind
    return tokens, kinds


def _text(token: Any) -> str:
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")
