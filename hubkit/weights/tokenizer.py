"""tokenizer.json for a folder that has only a sentencepiece model, as InternVL2's with InternLM2
do.

The official tokenizer there is code. What it does is sentencepiece's BPE on the text between the
special tokens; the same rules can be written down as a tokenizer.json, which any version of
`tokenizers` reads. sentencepiece joins the pair of pieces whose union has the highest score, the
leftmost of equals; so does a list of merges in the order of the unions' scores, but for a piece
that can be made in two ways, both of them in one word.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk.errors import UsageError, WeightsError

from ..files.outside import inside, read_json
from .sentencepiece import (
    BPE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
    SentencePiece,
    read_sentencepiece,
)

SPACE = "▁"
_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")
_NAMED = ("bos_token", "eos_token", "unk_token", "pad_token")
_ONE_MODEL = "take all tokenizer files from one model"
_REMEDY = "add a tokenizer.json, as `save_pretrained` of the tokenizer's fast class writes it"


def from_sentencepiece(folder: Path) -> dict[str, Any]:
    """The contents of tokenizer.json for `folder`'s tokenizer.model and added tokens
    (tokenizer_config.json, added_tokens.json), with the very same ids.

    Raises:
        WeightsError: tokenizer.model is damaged, or two tokens have one id.
        UsageError: it is of a kind that has no such form; says which.
    """
    model = read_sentencepiece(inside(folder, "tokenizer.model"))
    _check(model)
    settings = read_json(folder, "tokenizer_config.json")
    ids = {piece.text: number for number, piece in enumerate(model.pieces)}
    added = {
        ids[p.text]: _token(ids[p.text], p.text, {}, special=False)
        for p in model.pieces
        if p.kind == USER_DEFINED
    }
    control = {
        number for number, piece in enumerate(model.pieces) if piece.kind in (CONTROL, UNKNOWN)
    }
    added |= added_tokens(folder, ids, settings, control)
    vocabulary = _vocabulary(model, added)
    unknown = next((piece.text for piece in model.pieces if piece.kind == UNKNOWN), None)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [added[number] for number in sorted(added)],
        "normalizer": {"type": "Sequence", "normalizers": list(_normalizers(model))},
        "pre_tokenizer": None,
        "post_processor": _post_processor(settings, vocabulary),
        "decoder": {"type": "Sequence", "decoders": list(_decoders(model))},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": model.byte_fallback,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": [f"{left} {right}" for left, right in merges(model)],
        },
    }


def merges(model: SentencePiece) -> list[tuple[str, str]]:
    """All pairs of pieces that make a piece, the best first."""
    ids = {
        piece.text: number
        for number, piece in enumerate(model.pieces)
        if piece.kind in (NORMAL, USER_DEFINED, UNUSED)
    }
    found = []
    for text in ids:
        for cut in range(1, len(text)):
            left, right = text[:cut], text[cut:]
            if left in ids and right in ids:
                found.append((-model.pieces[ids[text]].score, ids[left], ids[right]))
    return [(model.pieces[left].text, model.pieces[right].text) for _, left, right in sorted(found)]


def _check(model: SentencePiece) -> None:
    problems = []
    if model.model_type != BPE:
        problems.append("it is not of the kind BPE")
    if model.whitespace_as_suffix or not model.escape_whitespaces:
        problems.append("it treats spaces in an unusual way")
    if model.charsmap:
        # tokenizers 0.23 applies the table to whole grapheme clusters: "\u00a0\u07a6" comes out
        # otherwise than in sentencepiece
        problems.append("it normalises characters by a table (nmt_nfkc or the like)")
    parts = (
        {part for pair in merges(model) for part in ("".join(pair), *pair)}
        if not problems
        else set()
    )
    if any(" " in part for part in parts):
        problems.append("a piece of it holds a space")
    unused = {piece.text for piece in model.pieces if piece.kind == UNUSED}
    if unused & parts:
        problems.append(f"its piece {min(unused & parts)!r} is marked as unused")
    if problems:
        raise UsageError(
            f"tokenizer.model has no form as tokenizer.json: {'; '.join(problems)}", _REMEDY
        )


def added_tokens(
    folder: Path, ids: Mapping[str, int], settings: Mapping[str, Any], control: Collection[int] = ()
) -> dict[int, dict[str, Any]]:
    """Tokens that are found in the text before the vocabulary `ids` is used, by id, as
    tokenizer.json has them. Those that tokenizer_config.json (`settings`) names for a purpose are
    special, and so are the ids in `control`.

    Raises:
        WeightsError: one token has two ids.
    """
    found: dict[int, dict[str, Any]] = {}
    special = {_content(settings.get(name)) for name in _NAMED} | {
        _content(t) for t in _listed(settings)
    }
    own = (
        read_json(folder, "added_tokens.json")
        if inside(folder, "added_tokens.json").is_file()
        else {}
    )
    entries: list[tuple[int, str, Mapping[str, Any]]] = [
        (ids[text], text, {}) for text in special if text in ids
    ]
    entries += [(int(number), text, {}) for text, number in own.items()]
    entries += [
        (int(number), _content(token), token)
        for number, token in (settings.get("added_tokens_decoder") or {}).items()
    ]
    texts: dict[str, int] = {}
    for number, text, flags in entries:
        if texts.setdefault(text, number) != number:
            raise WeightsError(
                f"token {text!r} has the ids {texts[text]} and {number}",
                "take all tokenizer files from one model",
            )
        always = text in special or number in control
        found[number] = _token(
            number, text, flags, special=bool(flags.get("special", always or text in own))
        )
    return found


def _listed(settings: Mapping[str, Any]) -> list[Any]:
    value = settings.get("additional_special_tokens", settings.get("extra_special_tokens"))
    return value if isinstance(value, list) else []


def _content(token: Any) -> str:
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")


def _token(number: int, text: str, flags: Mapping[str, Any], *, special: bool) -> dict[str, Any]:
    return {
        "id": number,
        "content": text,
        **{flag: bool(flags.get(flag, False)) for flag in _FLAGS},
        "special": special,
    }


def _vocabulary(model: SentencePiece, added: Mapping[int, Mapping[str, Any]]) -> dict[str, int]:
    """Every text with its id. Added tokens stand in it too, also in the place of a reserved piece:
    `tokenizers` itself numbers those that it does not find there."""
    texts = {number: piece.text for number, piece in enumerate(model.pieces)}
    texts |= {number: str(token["content"]) for number, token in added.items()}
    vocabulary: dict[str, int] = {}
    for number, text in sorted(texts.items()):
        if vocabulary.setdefault(text, number) != number:
            raise WeightsError(
                f"token {text!r} has the ids {vocabulary[text]} and {number}", _ONE_MODEL
            )
    return vocabulary


def _normalizers(model: SentencePiece) -> Iterator[dict[str, Any]]:
    """sentencepiece's order. Where it removes extra spaces, a `▁` in the text itself counts as one
    there and not here."""
    if model.remove_extra_whitespaces:
        yield {"type": "Replace", "pattern": {"Regex": r"\A +| +\z"}, "content": ""}
        yield {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
    if model.dummy_prefix:
        yield {"type": "Prepend", "prepend": SPACE}
    yield {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}


def _decoders(model: SentencePiece) -> Iterator[dict[str, Any]]:
    yield {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
    if model.byte_fallback:
        yield {"type": "ByteFallback"}
    yield {"type": "Fuse"}
    if model.dummy_prefix or model.remove_extra_whitespaces:
        yield {"type": "Strip", "content": " ", "start": 1, "stop": 0}


def _post_processor(
    settings: Mapping[str, Any], vocabulary: Mapping[str, int]
) -> dict[str, Any] | None:
    """`<s>` first, as Llama's and InternLM2's tokenizers do unless told otherwise."""
    first = _content(settings.get("bos_token"))
    if not settings.get("add_bos_token", True) or first not in vocabulary:
        return None
    start = {"SpecialToken": {"id": first, "type_id": 0}}
    pair = [start, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}]
    tokens = {first: {"id": first, "ids": [vocabulary[first]], "tokens": [first]}}
    return {
        "type": "TemplateProcessing",
        "single": pair[:2],
        "pair": pair,
        "special_tokens": tokens,
    }
