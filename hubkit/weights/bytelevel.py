"""tokenizer.json for a folder that has only vocab.json and merges.txt, as InternVL2-1B's with Qwen2
do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hubkit.sdk.errors import UsageError, WeightsError
from hubkit.sdk.excerpt import shown

from ..files.outside import read_json, read_text
from .tokenizer import added_tokens

FILES = ("vocab.json", "merges.txt")
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Where Qwen2's tokenizer cuts a text before it joins bytes (transformers' Qwen2Tokenizer and
Qwen's own tokenizer.json)."""
_QWEN = ("Qwen2Tokenizer", "Qwen2TokenizerFast")
_BYTES: dict[str, Any] = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": False,
    "use_regex": False,
}


def from_vocabulary(folder: Path) -> dict[str, Any]:
    """The contents of tokenizer.json for `folder`'s vocab.json, merges.txt and added tokens, with
    the very same ids.

    Raises:
        WeightsError: a merge joins or makes what vocab.json does not hold, or two tokens have one
            id.
        UsageError: the tokenizer is another one than Qwen2's, whose rules for cutting words are not
            known.
    """
    settings = read_json(folder, "tokenizer_config.json")
    kind = settings.get("tokenizer_class")
    if kind not in _QWEN:
        raise UsageError(
            f"tokenizer_config.json: tokenizer_class is {shown(kind)}; vocab.json and merges.txt "
            "alone do not say where it cuts words",
            "add a tokenizer.json, as `save_pretrained` of the tokenizer's fast class writes it",
        )
    vocabulary = read_json(folder, "vocab.json")
    if wrong := next(
        (text for text, number in vocabulary.items() if type(number) is not int or number < 0), None
    ):
        raise WeightsError(
            f"vocab.json: token {shown(wrong)} has the id {shown(vocabulary[wrong])}",
            "take the file from the base again",
        )
    merges = _merges(folder, vocabulary)
    added = added_tokens(folder, vocabulary, settings)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added[number] for number in sorted(added)],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": _WORDS},
                    "behavior": "Isolated",
                    "invert": False,
                },
                _BYTES,
            ],
        },
        "post_processor": _BYTES,
        "decoder": _BYTES,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": merges,
        },
    }


def _merges(folder: Path, vocabulary: dict[str, Any]) -> list[str]:
    merges = []
    for number, line in enumerate(read_text(folder, "merges.txt").split("\n"), 1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        parts = line.rstrip("\r").split(" ")
        if len(parts) != 2 or any(part not in vocabulary for part in (*parts, "".join(parts))):
            raise WeightsError(
                f"merges.txt, line {number}: {shown(line)} does not join two tokens of vocab.json "
                "into a third",
                "take vocab.json and merges.txt from one model",
            )
        merges.append(" ".join(parts))
    return merges
