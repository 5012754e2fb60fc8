"""The folder that xtuner trains on: official weights and configuration, a tokenizer of plain data,
no code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk import RefusedError, UsageError, json_text
from hubkit.sdk.files import read_text

from .trainable import DECODERS

STOCK = ("InternLM2ForCausalLM", "Phi3ForCausalLM")
"""What xtuner's own InternVL_V1_5_Dataset takes; for other language models it raises a bare
NotImplementedError."""
TRAINED = (*STOCK, *DECODERS)
_ROTATIONS = (None, "default", "dynamic", "linear")
"""What hubkit's modules compute of `rope_scaling`."""
_PEFT = "use `trainer: peft`"
_KEYS = (
    "bos_token",
    "eos_token",
    "pad_token",
    "unk_token",
    "clean_up_tokenization_spaces",
    "model_max_length",
)


def language_model(config: Mapping[str, Any]) -> str:
    """The architecture of the language model.

    Raises:
        UsageError: neither xtuner nor hubkit's modules for it can train it.
    """
    llm = config.get("llm_config")
    names = llm.get("architectures") if isinstance(llm, Mapping) else None
    name = str(names[0]) if isinstance(names, list) and names else ""
    if not isinstance(llm, Mapping) or name not in TRAINED:
        raise UsageError(
            f"config.json: llm_config.architectures is {names!r}; with xtuner hubkit trains "
            f"{', '.join(TRAINED)}",
            f"{_PEFT}, which trains every language model of the family",
        )
    if name in DECODERS:
        _check_modules(llm)
    return name


def _check_modules(llm: Mapping[str, Any]) -> None:
    """Raises UsageError for a setting that hubkit's modules for xtuner do not compute."""
    scaling = llm.get("rope_scaling") or {}
    kind = scaling.get("rope_type", scaling.get("type")) if isinstance(scaling, Mapping) else "?"
    for key, value, known in (
        ("rope_scaling", kind, _ROTATIONS),
        ("hidden_act", llm.get("hidden_act", "silu"), ("silu",)),
        ("use_sliding_window", bool(llm.get("use_sliding_window")), (False,)),
    ):
        if value not in known:
            raise UsageError(
                f"config.json: llm_config.{key} is {value!r}, which hubkit's modules for xtuner do "
                "not compute",
                _PEFT,
            )


def check_options(llm: str, *, stock_prompt: bool, remote_code: bool) -> None:
    """Raises UsageError for what xtuner itself does with InternLM2 and Phi-3 alone."""
    if llm not in STOCK and stock_prompt:
        raise UsageError(
            f"prompt: xtuner is for {' and '.join(STOCK)}; for {llm} xtuner has none",
            "set prompt: template, which trains with the tokenizer's own",
        )
    if llm == "Qwen3ForCausalLM" and remote_code:
        raise UsageError(
            "allow_remote_code: the folder's code needs transformers 4.51 for Qwen3, and xtuner "
            "wants 4.48",
            "leave allow_remote_code out: hubkit's own modules train this model",
        )


def prepare(base: Path, native: Path, out: Path, *, remote_code: bool) -> Path:
    """The folder to train on: `out`, made anew without code, or `base` itself when its code may be
    run.

    Raises:
        UsageError: there is no tokenizer.json or no chat template.
        RefusedError: `remote_code` is allowed, but the folder has no code.
    """
    if remote_code:
        config = _json(base / "config.json")
        if not isinstance(config.get("auto_map"), Mapping) or not any(base.glob("modeling_*.py")):
            raise RefusedError(
                "allow_remote_code is set, but the base folder has no auto_map or no modeling_*.py",
                "leave allow_remote_code out: hubkit's own modules train this model without the "
                "folder's code",
            )
        return base
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    _write(out / "config.json", without_code(_json(base / "config.json")))
    for path in [*sorted(base.glob("*.safetensors")), *base.glob("*.safetensors.index.json")]:
        (out / path.name).symlink_to(path.resolve())
    _tokenizer(native, out)
    return out


def without_code(config: Mapping[str, Any]) -> dict[str, Any]:
    """Also in nested configurations, which name code of their own."""
    kept = {key: value for key, value in config.items() if key not in ("auto_map", "_name_or_path")}
    return {
        key: without_code(value) if isinstance(value, Mapping) else value
        for key, value in kept.items()
    }


def _tokenizer(native: Path, out: Path) -> None:
    """tokenizer.json, and of the settings what every transformers since 4.36 reads alike."""
    if not (native / "tokenizer.json").is_file():
        raise UsageError(
            "the model has no tokenizer.json: without it its tokenizer is code, which is not run "
            "here",
            "add the tokenizer.json that transformers saves for this tokenizer, or set "
            "allow_remote_code: true",
        )
    readable = _for_any_reader(_json(native / "tokenizer.json"))
    (out / "tokenizer.json").write_text(json.dumps(readable, ensure_ascii=False), "utf-8")
    settings = _json(native / "tokenizer_config.json")
    template = native / "chat_template.jinja"
    text = read_text(template) if template.is_file() else settings.get("chat_template")
    if not isinstance(text, str):
        raise UsageError(
            "the tokenizer has no chat_template", "copy tokenizer_config.json from the base model"
        )
    plain = {key: _text(settings[key]) for key in _KEYS if settings.get(key) is not None}
    _write(
        out / "tokenizer_config.json",
        {**plain, "chat_template": text, "tokenizer_class": "PreTrainedTokenizerFast"},
    )


def _for_any_reader(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Merges as strings, where no piece has a space: tokenizers before 0.20 (transformers before
    4.45) read no pairs."""
    model: dict[str, Any] = tokenizer.get("model") or {}
    merges = model.get("merges") or ()
    if not merges or any(
        isinstance(pair, str) or any(" " in piece for piece in pair) for pair in merges
    ):
        return tokenizer
    return {**tokenizer, "model": {**model, "merges": [" ".join(pair) for pair in merges]}}


def _text(value: Any) -> Any:
    return value["content"] if isinstance(value, Mapping) and "content" in value else value


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json_text.load(path)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path.name} cannot be read ({error})", "copy it from the base model"
        ) from None
    if not isinstance(data, dict):
        raise UsageError(f"{path.name} is not a JSON object", "copy it from the base model")
    return data


def _write(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(
        json.dumps(data, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
    )
