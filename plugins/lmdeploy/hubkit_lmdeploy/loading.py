"""LMDeploy's pipeline for a model folder, under the folder's name and nothing else of its path."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hubkit.sdk import EnvironmentFailure, PluginError, RefusedError, UsageError, json_text

from .messages import UNMARKED
from .options import Options
from .probe import gpu
from .remote_code import check_code, shown

TURBOMIND_HEADS = (64, 128, 192, 256)
"""Dimensions of an attention head for which TurboMind is chosen: 64 and 128 were seen to work on an
H200 (lmdeploy 0.18)."""


@contextmanager
def beside(model: Path, options: Options) -> Iterator[str]:
    """The folder's name, with its parent as the working directory: LMDeploy matches chat templates
    against the whole path that it is given, so `/data/vicuna/InternVL2-2B` would be asked in
    Vicuna's words (lmdeploy 0.18, model.py). What LMDeploy sees there may be trusted: no Python
    file that is not ours, unless the options allow the folder's."""
    before = Path.cwd()
    with shown(model, options.allow_remote_code) as folder:
        os.chdir(folder.parent)
        try:
            yield folder.name
        finally:
            os.chdir(before)


def choose_backend(config: Mapping[str, Any], options: Options, known: Collection[str]) -> str:
    """`turbomind` or `pytorch`; `known` are the architectures that TurboMind has.

    Raises:
        UsageError: TurboMind is asked for and cannot run the model.
    """
    obstacle = _obstacle(config, known)
    if options.backend == "turbomind" and obstacle:
        raise UsageError(f"TurboMind has no {obstacle}", "set the option backend: pytorch")
    return options.backend if options.backend != "auto" else "pytorch" if obstacle else "turbomind"


def _obstacle(config: Mapping[str, Any], known: Collection[str]) -> str:
    """What TurboMind lacks for the model; empty when nothing."""
    name = architecture(config)
    if name not in known:
        return f"model {name}"
    small = [
        f"{part} {size}" for part, size in head_sizes(config).items() if size not in TURBOMIND_HEADS
    ]
    return f"kernels for attention heads of these dimensions: {', '.join(small)}" if small else ""


def architecture(config: Mapping[str, Any]) -> str:
    return str((config.get("architectures") or [""])[0])


def head_sizes(config: Mapping[str, Any]) -> dict[str, int]:
    """Dimensions of an attention head, by the part of config.json that says them."""
    parts = {
        name: config[name]
        for name in ("llm_config", "text_config", "vision_config")
        if config.get(name)
    }
    return {
        name: int(part.get("head_dim") or part["hidden_size"] // part["num_attention_heads"])
        for name, part in parts.items()
        if part.get("num_attention_heads")
    }


def engine_settings(backend: str, options: Options) -> Any:
    """LMDeploy's configuration of `backend`. Prefix caching stays off: it would make one answer
    depend on another's."""
    from lmdeploy import PytorchEngineConfig, TurbomindEngineConfig

    kind = TurbomindEngineConfig if backend == "turbomind" else PytorchEngineConfig
    return kind(
        dtype=options.dtype,
        tp=options.tp,
        session_len=options.session_length or None,
        max_batch_size=options.batch_size,
        cache_max_entry_count=options.cache_share,
        enable_metrics=False,
    )


def prepare(model: Path, options: Options) -> str:
    """Checks what can be checked before anything is loaded, and returns the backend.

    Raises:
        EnvironmentFailure: there is no GPU, or transformers would misread pictures.
        UsageError: the folder needs code that is not allowed, or TurboMind does not take the model.
    """
    gpu()
    check_code(model, options.allow_remote_code)
    from lmdeploy.turbomind.supported_models import SUPPORTED_ARCHS

    config = json_text.load(model / "config.json")
    if architecture(config) in UNMARKED:
        check_pictures(model)
    return choose_backend(config, options, SUPPORTED_ARCHS)


def check_pictures(model: Path) -> None:
    """LMDeploy tells transformers that a picture's channels come last, though it gives a PIL image
    (lmdeploy 0.18, vl/model/llava_hf.py). Before 5.21 transformers' processors then exchange the
    picture's axes.

    Raises:
        EnvironmentFailure: here they do.
    """
    import torch
    import transformers
    from PIL import Image

    read = transformers.AutoImageProcessor.from_pretrained(model)
    picture = Image.linear_gradient("L").resize((60, 40)).convert("RGB")
    try:
        told = read(picture, return_tensors="pt", input_data_format="channels_last").pixel_values
        same = torch.equal(told, read(picture, return_tensors="pt").pixel_values)
    except ValueError:
        same = False
    if not same:
        raise EnvironmentFailure(
            f"transformers {transformers.__version__} misreads this model's pictures when LMDeploy "
            "asks it",
            "install transformers 5.21 or newer where LMDeploy runs; `environment: locked` has it "
            "from Python 3.11 on",
        )


def load(name: str, backend: str, options: Options) -> Any:
    """The pipeline of the folder `name` in the working directory, which `beside` has put there.

    Raises:
        EnvironmentFailure: LMDeploy or the GPU is not up to it.
        RefusedError: LMDeploy fell back to its bare template.
    """
    import torch
    from lmdeploy import ChatTemplateConfig, pipeline

    template = (
        ChatTemplateConfig(options.chat_template, model_path=name)
        if options.chat_template
        else None
    )
    try:
        pipe = pipeline(
            name,
            backend_config=engine_settings(backend, options),
            chat_template_config=template,
            trust_remote_code=True,
            log_level="WARNING",
        )
    except torch.OutOfMemoryError as error:
        raise EnvironmentFailure(
            f"not enough GPU memory for {name}: {error}",
            "free the GPU, lower cache_share, or set tp",
        ) from None
    except SystemExit:
        raise EnvironmentFailure(
            f"LMDeploy's own check of the environment or of {name} failed",
            "read the last lines of its log; they say what",
        ) from None
    if (used := pipe.async_engine.backend) != backend:
        pipe.close()
        raise EnvironmentFailure(
            f"LMDeploy took its {used} engine where {backend} was asked for",
            f"install its {backend} library, or set backend: {used}",
        )
    return pipe


def template_name(chosen: Any) -> str:
    """LMDeploy's name of the chat template `chosen`.

    Raises:
        RefusedError: it is the bare one, which sends the text without any roles.
    """
    from lmdeploy.model import MODELS

    names = [name for name, known in MODELS.module_dict.items() if known is type(chosen)]
    if not names:
        raise PluginError(
            f"LMDeploy uses a chat template without a name, {type(chosen).__name__}",
            "report it to hubkit's authors",
        )
    if "base" in names:
        raise RefusedError(
            "LMDeploy found no chat template for this model and fell back to `base`, which sends "
            "the bare text",
            "give tokenizer_config.json a chat_template, or name one of LMDeploy's with the option "
            "chat_template",
        )
    return f"{names[0]}: the tokenizer's chat_template" if names[0] == "hf" else names[0]
