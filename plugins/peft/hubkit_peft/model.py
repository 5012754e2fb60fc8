"""The base model with its LoRA; no code of the folder is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

from hubkit.sdk import EnvironmentFailure, ModuleGroup, UsageError, Vision, WeightsError
from hubkit.sdk.install import install

from .options import Options


def device_of(options: Options) -> str:
    import torch

    available = torch.cuda.is_available()
    if options.device == "cuda" and not available:
        raise EnvironmentFailure(
            "device is cuda, but torch sees no GPU",
            "set device: cpu, or use an environment with CUDA",
        )
    return "cuda" if available and options.device != "cpu" else "cpu"


def dtype_of(options: Options, device: str) -> Any:
    """Of the frozen weights."""
    import torch

    return getattr(
        torch,
        options.precision
        if options.precision != "auto"
        else ("float32" if device == "cpu" else "bfloat16"),
    )


def load(
    native: Path,
    tokenizer: Any,
    vision: Vision,
    groups: Mapping[str, ModuleGroup],
    options: Options,
    device: str,
) -> Any:
    from transformers import AutoModelForImageTextToText

    dtype = dtype_of(options, device)
    few_bits = _quantization(options, groups, dtype)
    model, info = AutoModelForImageTextToText.from_pretrained(
        native, dtype=dtype, output_loading_info=True, **few_bits
    )
    if wrong := {kind: sorted(map(str, keys))[:5] for kind, keys in info.items() if keys}:
        raise WeightsError(
            f"{native.name}: transformers cannot place these weights: {wrong}",
            "convert the model again",
        )
    wanted, found = tokenizer.convert_tokens_to_ids(vision.context), model.config.image_token_id
    if wanted != found:
        raise UsageError(
            f"config.json: image_token_id is {found}, but {vision.context} has id {wanted} in the "
            "tokenizer",
            "make the native folder again from the official one",
        )
    return model if few_bits else model.to(device)


def _quantization(
    options: Options, groups: Mapping[str, ModuleGroup], dtype: Any
) -> dict[str, Any]:
    """What from_pretrained takes to keep the language model's linears in 4 (NF4, twice quantized)
    or 8 bits.

    Raises:
        EnvironmentFailure: there is no bitsandbytes.
    """
    if options.quantize == "none":
        return {}
    try:
        import_module("bitsandbytes")
    except ImportError as error:
        raise EnvironmentFailure(
            f"quantize: {options.quantize} needs bitsandbytes ({error})",
            f"{install('qlora')}, or set quantize: none",
        ) from None
    from transformers import BitsAndBytesConfig

    getLogger("bitsandbytes.autograd._functions").setLevel(
        ERROR
    )  # it warns at every product that 8 bits take float16
    whole = ["lm_head", *(group.prefix for key, group in groups.items() if key != "llm")]
    settings = BitsAndBytesConfig(
        load_in_4bit=options.quantize == "4bit",
        load_in_8bit=options.quantize == "8bit",
        llm_int8_skip_modules=whole,
        bnb_4bit_compute_dtype=dtype,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
    )
    return {"quantization_config": settings, "device_map": {"": device_of(options)}}


def with_adapter(model: Any, groups: Mapping[str, ModuleGroup], options: Options) -> Any:
    """A PeftModel: LoRA on the linears of the groups in `lora`, with `experts` on the matrices of
    their experts too; whole modules (PEFT's `modules_to_save`) for those in `full`.

    What is trained is kept in float32, whatever the precision of the rest.

    Raises:
        UsageError: there are no experts.
    """
    from peft import LoraConfig, get_peft_model
    from peft.utils.constants import DUMMY_TARGET_MODULES

    experts = [name for key in options.lora for name in _experts(model, groups[key])]
    if options.experts and not experts:
        raise UsageError(
            f"train.options: experts is true, and {', '.join(options.lora) or 'lora'} has none",
            "leave experts out, or name the group that has them in lora",
        )
    settings = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=sorted(name for key in options.lora for name in _linears(model, groups[key]))
        or DUMMY_TARGET_MODULES,
        target_parameters=sorted(experts) if options.experts else None,
        modules_to_save=sorted(groups[key].prefix for key in options.full) or None,
        base_model_name_or_path=None,
    )
    model = get_peft_model(model, settings)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


def _experts(model: Any, group: ModuleGroup) -> Iterator[str]:
    for name, _ in model.get_submodule(group.prefix).named_parameters():
        if group.experts and f".{name}".endswith(tuple(f".{end}" for end in group.experts)):
            yield f"{group.prefix}.{name}"


def _linears(model: Any, group: ModuleGroup) -> Iterator[str]:
    import torch

    for name, module in model.get_submodule(group.prefix).named_modules(prefix=group.prefix):
        if isinstance(module, torch.nn.Linear) and name.rsplit(".", 1)[-1] in group.linears:
            yield name
