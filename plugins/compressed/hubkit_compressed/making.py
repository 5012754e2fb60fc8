"""llm-compressor at work on a model in memory."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hubkit.sdk import RefusedError, json_text

from .options import Options

_KEPT = r"re:^(?!model\.language_model\.layers\.).*$"
"""All modules but the decoder's layers."""
_SCHEMES = {"fp8": "FP8_DYNAMIC", "w8a8": "W8A8"}


def compressed(native: Path, options: Options) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model's state with the decoder quantised, by transformers' names in memory, and what
    config.json says of it.

    Raises:
        RefusedError: llm-compressor does not take this architecture.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import torch
    from compressed_tensors import ModelCompressor
    from llmcompressor import oneshot
    from loguru import logger
    from transformers import AutoModelForImageTextToText

    logger.remove()
    if options.threads:
        torch.set_num_threads(options.threads)
    model = AutoModelForImageTextToText.from_pretrained(native, dtype="auto").eval()
    try:
        oneshot(model=model, recipe=_recipe(options), log_dir=None)
    except ValueError as error:
        raise RefusedError(
            f"llm-compressor does not take this model ({' '.join(str(error).split())[:300]})",
            "leave the variant out of the release file",
        ) from None
    compressor = ModelCompressor.from_pretrained_model(model)
    if compressor is None:
        raise RefusedError(
            "llm-compressor found no decoder layer to quantise in this architecture",
            "leave the variant out of the release file",
        )
    compressor.compress_model(model)
    with tempfile.TemporaryDirectory(prefix="hubkit-compressed-") as place:
        config = Path(place, "config.json")
        config.write_text("{}", "utf-8")
        compressor.update_config(place)
        settings = json_text.load(config)["quantization_config"]
    return dict(model.state_dict()), settings


def _recipe(options: Options) -> Any:
    from compressed_tensors.quantization import (
        QuantizationArgs,
        QuantizationScheme,
        QuantizationStrategy,
    )
    from llmcompressor.modifiers.quantization import QuantizationModifier

    if options.scheme in _SCHEMES:
        return QuantizationModifier(
            targets="Linear", scheme=_SCHEMES[options.scheme], ignore=[_KEPT]
        )
    weights = QuantizationArgs(
        num_bits=4, group_size=options.group, strategy=QuantizationStrategy.GROUP, symmetric=True
    )
    groups = {"group_0": QuantizationScheme(targets=["Linear"], weights=weights)}
    return QuantizationModifier(config_groups=groups, ignore=[_KEPT])
