"""A tiny sentencepiece model, and a folder with it like InternVL2-2B's."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

spm = pytest.importorskip("sentencepiece")

TEXTS = [
    "The quick brown fox jumps over the lazy dog, and the dog sleeps on.",
    "A picture shows two dishes: noodles with beef, and steamed buns.",
    "这道菜是什么？图中的菜是麻婆豆腐。",
    "这张图片里有几个人？三个人在吃火锅。",
    "Ünïcödé, naïve café: 12345, 67890!",
    "def main():\n    return [x ** 2 for x in range(10)]",
    "abc abcabc bcabca cab",
    "Wow -- really?   (yes, really)",
]
RESERVED = [f"[UNUSED_TOKEN_{i}]" for i in range(3)]
CHAT = {"<|im_start|>": 0, "<|im_end|>": 1}
"""Tokens that take the place of a reserved piece, as those of InternLM2-chat do."""
IMAGE = [
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
    "<quad>",
    "</quad>",
    "<ref>",
    "</ref>",
    "<box>",
    "</box>",
]


def train(**options: Any) -> bytes:
    """As InternLM2's was: BPE, bytes for what it lacks, texts as they are."""
    out = BytesIO()
    usual = {
        "model_type": "bpe",
        "vocab_size": 470,
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "normalization_rule_name": "identity",
    }
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS * 8),
        model_writer=out,
        byte_fallback=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        control_symbols=RESERVED,
        minloglevel=2,
        num_threads=1,
        max_sentence_length=4096,
        **{**usual, **options},
    )
    return out.getvalue()


def write(folder: Path, model: bytes, **extra: Any) -> Any:
    """A folder like InternVL2-2B's, without tokenizer.json; its sentencepiece processor."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model)
    processor = spm.SentencePieceProcessor(model_proto=model)
    size = processor.get_piece_size()
    ids = {token: processor.piece_to_id(RESERVED[number]) for token, number in CHAT.items()}
    ids |= {token: size + number for number, token in enumerate(IMAGE)}
    (folder / "added_tokens.json").write_text(json.dumps(ids))
    known = {"<unk>": 0, "<s>": 1, "</s>": 2, **ids}
    config = {
        "tokenizer_class": "InternLM2Tokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_internlm2.InternLM2Tokenizer", None]},
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "</s>",
        "chat_template": "{{ bos_token }}",
        "additional_special_tokens": [*CHAT, *IMAGE],
        "added_tokens_decoder": {
            str(number): {"content": token, "special": True} for token, number in known.items()
        },
        **extra,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return processor
