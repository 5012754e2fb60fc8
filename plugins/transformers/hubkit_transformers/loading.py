"""The model and the tokenizer of a native folder; no code of the folder is run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hubkit.sdk import EnvironmentFailure, UsageError, Vision, WeightsError, json_text, stop_ids
from hubkit.sdk.checkpoints.compressed import is_compressed

from .inputs import Arrangement, arrangement
from .options import Options


@dataclass(frozen=True)
class Loaded:
    """`stops` are the ids that end an answer; `context` is the most tokens that prompt and answer
    may have together; T5's positions are relative, and 512 are what it was trained with. Up to
    `steady` positions one row of a batch does not change how others are seen."""

    model: Any
    arrange: Arrangement
    stops: tuple[int, ...]
    device: str
    context: int
    dtype: str
    steady: int

    @property
    def pad(self) -> int:
        pad: int | None = self.arrange.tokenizer.pad_token_id
        return self.stops[0] if pad is None else pad


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
    if is_compressed(json_text.load(native / "config.json")) and not find_spec(
        "compressed_tensors"
    ):
        raise EnvironmentFailure(
            f"the weights of {native.name} are compressed, and compressed-tensors is not installed",
            "pip install compressed-tensors where this engine runs",
        )
    arrange = arrangement(native, vision)
    model, info = AutoModelForImageTextToText.from_pretrained(
        native, dtype=getattr(torch, name), output_loading_info=True
    )
    if wrong := {kind: sorted(map(str, keys))[:5] for kind, keys in info.items() if keys}:
        raise WeightsError(
            f"{native.name}: transformers cannot place these weights: {wrong}",
            "convert the model again",
        )
    _check_image_token(model, arrange.tokenizer, vision)
    stops = stop_ids(json_text.load(official / "generation_config.json"))
    text = model.config.get_text_config()
    context = int(getattr(text, "max_position_embeddings", 0) or getattr(text, "n_positions", 512))
    model = model.to(device).eval()
    return Loaded(model, arrange, stops, device, context, name, min(context, _steady(text)))


def _steady(text: Any) -> int:
    """Rotary positions that grow with the longest row (dynamic, longrope) start to do so here."""
    said = getattr(text, "rope_parameters", None) or {}
    kinds = (said, *(kind for kind in said.values() if isinstance(kind, Mapping)))
    found = [kind.get("original_max_position_embeddings") for kind in kinds]
    return min([int(number) for number in found if number], default=sys.maxsize)


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
