"""The model and the tokenizer of a native folder; no code of the folder is run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.sdk import EnvironmentFailure, UsageError, Vision, WeightsError, json_text, stop_ids

from .options import Options


@dataclass(frozen=True)
class Loaded:
    """`stops` are the ids that end an answer; `context` is the most tokens that prompt and answer
    may have together."""

    model: Any
    tokenizer: Any
    stops: tuple[int, ...]
    device: str
    context: int


def load(native: Path, official: Path, vision: Vision, options: Options) -> Loaded:
    """Raises WeightsError, UsageError or EnvironmentFailure, naming what does not fit."""
    import torch
    from transformers import AutoModelForImageTextToText
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = _device(options)
    name = (
        options.dtype if options.dtype != "auto" else ("float32" if device == "cpu" else "bfloat16")
    )
    tokenizer = load_tokenizer(native)
    model, info = AutoModelForImageTextToText.from_pretrained(
        native, dtype=getattr(torch, name), output_loading_info=True
    )
    if wrong := {kind: sorted(map(str, keys))[:5] for kind, keys in info.items() if keys}:
        raise WeightsError(
            f"{native.name}: transformers cannot place these weights: {wrong}",
            "convert the model again",
        )
    _check_image_token(model, tokenizer, vision)
    stops = stop_ids(json_text.load(official / "generation_config.json"))
    context = int(model.config.get_text_config().max_position_embeddings)
    return Loaded(model.to(device).eval(), tokenizer, stops, device, context)


def load_tokenizer(native: Path) -> Any:
    """Named by its class: AutoTokenizer would choose one by the model's type, and ask for the
    folder's code."""
    from transformers import PreTrainedTokenizerFast

    if not (native / "tokenizer.json").is_file():
        raise UsageError(
            "the model has no tokenizer.json: without it its tokenizer is code, which is not run "
            "here",
            "add the tokenizer.json that transformers saves for this tokenizer (`save_pretrained` "
            "of the fast class)",
        )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(native, padding_side="left")
    if not tokenizer.chat_template:
        raise UsageError(
            "the tokenizer has no chat_template", "copy tokenizer_config.json from the base model"
        )
    return tokenizer


def _device(options: Options) -> str:
    import torch

    available = torch.cuda.is_available()
    if options.device == "cuda" and not available:
        raise EnvironmentFailure(
            "device is cuda, but torch sees no GPU",
            "set device: cpu, or use an environment with CUDA",
        )
    return "cuda" if available and options.device != "cpu" else "cpu"


def _check_image_token(model: Any, tokenizer: Any, vision: Vision) -> None:
    wanted, found = tokenizer.convert_tokens_to_ids(vision.context), model.config.image_token_id
    if wanted != found:
        raise UsageError(
            f"config.json: image_token_id is {found}, but {vision.context} has id {wanted} in the "
            "tokenizer",
            "make the native folder again from the official one",
        )
