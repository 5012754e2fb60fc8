"""The tiny base model's configuration and tokenizer, as files in the official InternVL2 layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .talk import corpus

SPECIAL = (
    *("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>"),
    *("<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>"),
)
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message['role'] + "
    "'\\n' + message['content'] + "
    "'<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|im_start|>assistant\\n' }}{% endif %}"
)
_CHAT = "modeling_internvl_chat.InternVLChatModel"


def write_files(folder: Path) -> None:
    """Everything but weights, code and README."""
    vocabulary = _write_tokenizer(folder / "tokenizer.json")
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    extra = [token for token in SPECIAL if token not in names.values()]
    _write(folder / "special_tokens_map.json", {**names, "additional_special_tokens": extra})
    _write(
        folder / "tokenizer_config.json",
        {
            **names,
            "additional_special_tokens": extra,
            "added_tokens_decoder": {
                str(number): _added(token) for number, token in enumerate(SPECIAL)
            },
            "chat_template": CHAT_TEMPLATE,
            "clean_up_tokenization_spaces": False,
            "model_max_length": 2048,
            "padding_side": "left",
            "tokenizer_class": "PreTrainedTokenizerFast",
        },
    )
    stops = [SPECIAL.index(token) for token in ("</s>", "<|im_end|>")]
    _write(
        folder / "generation_config.json",
        {"bos_token_id": 1, "eos_token_id": stops, "pad_token_id": 2},
    )
    _write(folder / "config.json", _config(vocabulary))


def _write(path: Path, data: dict[str, Any]) -> None:
    path.write_text(
        json.dumps(data, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
    )


def _added(token: str) -> dict[str, Any]:
    return {
        "content": token,
        "lstrip": False,
        "normalized": False,
        "rstrip": False,
        "single_word": False,
        "special": True,
    }


def _write_tokenizer(path: Path) -> int:
    """A byte-level BPE of a few hundred tokens, so that any text has ids; digits stand alone.
    Returns its size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    digits, letters = (
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, letters])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=480,
        min_frequency=1,
        special_tokens=list(SPECIAL),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.save(str(path))
    return int(tokenizer.get_vocab_size())


def _config(vocabulary: int) -> dict[str, Any]:
    return {
        "architectures": ["InternVLChatModel"],
        "auto_map": {
            "AutoConfig": "configuration_internvl_chat.InternVLChatConfig",
            "AutoModel": _CHAT,
            "AutoModelForCausalLM": _CHAT,
        },
        "downsample_ratio": 0.5,
        "dynamic_image_size": True,
        "force_image_size": 56,
        "llm_config": _llm_config(vocabulary),
        "max_dynamic_patch": 4,
        "min_dynamic_patch": 1,
        "model_type": "internvl_chat",
        "pad2square": False,
        "ps_version": "v2",
        "select_layer": -1,
        "template": "internlm2-chat",
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_thumbnail": True,
        "vision_config": _vision_config(),
    }


def _llm_config(vocabulary: int) -> dict[str, Any]:
    return {
        "architectures": ["InternLM2ForCausalLM"],
        "bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 128,
        "initializer_range": 0.02,
        "intermediate_size": 320,
        "max_position_embeddings": 2048,
        "model_type": "internlm2",
        "num_attention_heads": 4,
        "num_hidden_layers": 4,
        "num_key_value_heads": 2,
        "pad_token_id": 2,
        "rms_norm_eps": 1e-05,
        "rope_scaling": {"factor": 2.0, "type": "dynamic"},
        "rope_theta": 10000,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "vocab_size": vocabulary,
    }


def _vision_config() -> dict[str, Any]:
    return {
        "architectures": ["InternVisionModel"],
        "attention_dropout": 0.0,
        "dropout": 0.0,
        "hidden_act": "gelu",
        "hidden_size": 96,
        "image_size": 56,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "intermediate_size": 384,
        "layer_norm_eps": 1e-06,
        "model_type": "intern_vit_6b",
        "norm_type": "layer_norm",
        "num_attention_heads": 4,
        "num_channels": 3,
        "num_hidden_layers": 4,
        "patch_size": 7,
        "qk_normalization": False,
        "qkv_bias": True,
        "torch_dtype": "bfloat16",
    }
