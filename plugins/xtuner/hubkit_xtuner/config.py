"""xtuner's configuration: a shipped or a user's own file, and what a release changes in it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hubkit.sdk import EnvironmentFailure, TrainInput, UsageError

from . import schedule
from .data import as_mapping
from .options import Options

SHIPPED = "internvl_v2_internlm2_2b_lora_finetune"
EFFECTIVE = "xtuner_config.py"
LORA = {
    "type": "peft.LoraConfig",
    "r": 128,
    "lora_alpha": 256,
    "lora_dropout": 0.05,
    "task_type": "CAUSAL_LM",
}
WITNESS = "hubkit_xtuner.hooks.Witness"
VIT_LINEARS = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
STOCK_TEMPLATES = {
    "InternLM2ForCausalLM": {
        "SUFFIX": "<|im_end|>",
        "SUFFIX_AS_EOS": True,
        "STOP_WORDS": ["<|im_end|>"],
    },
    "Phi3ForCausalLM": {
        "SYSTEM": "<|system|>\n{system}<|end|>\n",
        "SUFFIX": "<|end|>",
        "STOP_WORDS": ["<|end|>"],
    },
}
"""What xtuner's dataset class leaves of a template; the other keys it sets itself."""

Changes = dict[str, Any]
"""Dotted key -> value; None takes the key away."""


def load(path: str) -> dict[str, Any]:
    """The configuration as mmengine reads it, classes as dotted names; "" is the shipped one.

    Raises:
        UsageError: no such file, or it is not a configuration that trains InternVL.
        EnvironmentFailure: xtuner does not ship its own.
    """
    from mmengine.config import Config

    file = Path(path).expanduser() if path else shipped()
    if not file.is_file():
        raise UsageError(
            f"config: there is no file {file}", "correct the path, or leave it out for xtuner's own"
        )
    try:
        config: dict[str, Any] = Config.fromfile(str(file)).to_dict()
    except Exception as error:
        message = (
            f"config: {file.name} is not a configuration for mmengine ({type(error).__name__}: "
            f"{error})"
        )
        raise UsageError(
            message, "correct the file; `xtuner copy-cfg` copies one that works"
        ) from None
    for key in ("model", "train_dataloader", "optim_wrapper", "train_cfg", "default_hooks"):
        if not isinstance(config.get(key), dict):
            raise UsageError(
                f"config: {file.name} has no `{key} = dict(...)`", f"start from xtuner's {SHIPPED}"
            )
    kind = str(config["model"].get("type"))
    if not kind.endswith("InternVL_V1_5"):
        raise UsageError(
            f"config: {file.name} trains {kind}, not xtuner's InternVL_V1_5",
            f"start from xtuner's {SHIPPED}",
        )
    return config


def shipped() -> Path:
    from importlib.util import find_spec

    spec = find_spec("xtuner")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    path = folder / "configs" / "internvl" / "v2" / f"{SHIPPED}.py"
    if not path.is_file():
        raise EnvironmentFailure(
            f"this xtuner has no configuration {SHIPPED}", "install xtuner 0.1.23 or 0.2.0"
        )
    return path


def changes(
    options: Options,
    job: TrainInput,
    model: Path,
    data: Path,
    *,
    gpu: bool,
    llm: str,
    stops: list[int],
) -> Changes:
    """Everything that hubkit sets: where things are, what the release asks for, what the machine
    needs."""
    return {
        **_places(job, model, data),
        **_dataset(options, job, model, data, llm, stops),
        **dict(_asked(options)),
        **dict(_needed(options, job, gpu)),
    }


def _places(job: TrainInput, model: Path, data: Path) -> Changes:
    tokenizer = "custom_hooks.0.tokenizer.pretrained_model_name_or_path"
    return {
        "path": str(model),
        "data_path": str(data),
        "image_folder": str(job.images),
        "data_root": str(data.parent),
        "model.model_path": str(model),
        "tokenizer.pretrained_model_name_or_path": str(model),
        tokenizer: str(model),
    }


def _dataset(
    options: Options, job: TrainInput, model: Path, data: Path, llm: str, stops: list[int]
) -> Changes:
    at = "train_dataloader.dataset"
    where = {
        f"{at}.model_path": str(model),
        f"{at}.data_paths": str(data),
        f"{at}.image_folders": str(job.images),
    }
    if options.prompt == "xtuner":  # refused for language models that have no stock template
        return {
            **where,
            "prompt_template": STOCK_TEMPLATES[llm],
            f"{at}.template": STOCK_TEMPLATES[llm],
        }
    own = {
        f"{at}.type": "hubkit_xtuner.dataset.Conversations",
        f"{at}.vision": as_mapping(job.vision),
        f"{at}.stops": stops,
    }
    return {**where, **own, f"{at}.template": None, "prompt_template": None}


def _asked(options: Options) -> Iterator[tuple[str, Any]]:
    """One option is up to three keys: a name at the file's top and the places where the file has
    used it already."""
    places = {
        "max_length": ("max_length", "train_dataloader.dataset.max_length"),
        "batch_size": ("batch_size", "train_dataloader.batch_size"),
        "accumulation": ("accumulative_counts", "optim_wrapper.accumulative_counts"),
        "epochs": ("max_epochs", "train_cfg.max_epochs"),
        "learning_rate": ("lr", "optim_wrapper.optimizer.lr"),
        "weight_decay": ("weight_decay", "optim_wrapper.optimizer.weight_decay"),
        "max_grad_norm": ("max_norm", "optim_wrapper.clip_grad.max_norm"),
        "warmup_ratio": ("warmup_ratio",),
        "workers": ("dataloader_num_workers", "train_dataloader.num_workers"),
        "log_every": ("default_hooks.logger.interval",),
        "save_every": ("save_steps", "default_hooks.checkpoint.interval"),
        "keep": ("save_total_limit",),
        "rank": ("model.llm_lora.r",),
        "alpha": ("model.llm_lora.lora_alpha",),
        "dropout": ("model.llm_lora.lora_dropout",),
    }
    for option, keys in places.items():
        value = getattr(options, option)
        if value is not None:
            yield from ((key, _whole(value)) for key in keys)
    if options.quantize:
        yield "model.quantization_llm", True
        yield "model.quantization_vit", False
    if options.vit_rank:
        vit = {
            "r": options.vit_rank,
            "lora_alpha": _whole(options.vit_alpha),
            "target_modules": list(VIT_LINEARS),
        }
        yield "model.visual_encoder_lora", {"type": "peft.LoraConfig", "lora_dropout": 0.05, **vit}
    if options.load_from:
        yield "load_from", str(Path(options.load_from).expanduser())


def _needed(options: Options, job: TrainInput, gpu: bool) -> Iterator[tuple[str, Any]]:
    yield "randomness", {"seed": job.seed, "deterministic": False}
    yield "default_hooks.checkpoint.save_optimizer", options.save_optimizer
    # mmengine removes the oldest before it writes the next: killed in between, with one kept, all
    # would be lost. The best are kept by hubkit: mmengine's `save_best` needs a validation set.
    every = options.keep_best or options.keep == -1
    yield "default_hooks.checkpoint.max_keep_ckpts", -1 if every else (options.keep or 1) + 1
    if gpu:
        return
    # AmpOptimWrapper asserts a GPU; data loader workers only take cores from the training.
    yield "train_dataloader.num_workers", 0
    yield "optim_wrapper.type", "mmengine.optim.OptimWrapper"
    yield "env_cfg.dist_cfg.backend", "gloo"


def _whole(value: Any) -> Any:
    return (
        int(value) if isinstance(value, float) and value.is_integer() and abs(value) >= 1 else value
    )


def apply(config: Mapping[str, Any], wanted: Changes, options: Options) -> dict[str, Any]:
    """A copy of `config` with `wanted` and all that follows from it: sampler, schedule, the hook
    that bears witness."""
    made = copy.deepcopy(dict(config))
    before = schedule.read(made)
    hooks = [hook for hook in made.get("custom_hooks") or [] if hook.get("type") != WITNESS]
    made["custom_hooks"] = [*hooks, {"type": WITNESS}]
    if not isinstance(made["model"].get("llm_lora"), dict) and options.rank:
        made["model"]["llm_lora"] = dict(LORA)
    for key, value in wanted.items():
        _set(made, key.split("."), value)
    if not str(made["optim_wrapper"]["type"]).endswith("AmpOptimWrapper"):
        for key in ("loss_scale", "dtype"):
            made["optim_wrapper"].pop(key, None)
    schedule.write(made, before, options)
    sampler = made["train_dataloader"].get("sampler", {})
    if "per_device_batch_size" in sampler:
        sampler["per_device_batch_size"] = schedule.batch(made) * schedule.accumulation(made)
    if "llava_dataset" in made:
        made["llava_dataset"] = made["train_dataloader"]["dataset"]
    return made


def save(config: Mapping[str, Any], path: Path) -> None:
    from mmengine.config import Config

    Config(dict(config)).dump(str(path))


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Dotted key -> [before, after]; None where there is nothing."""
    old, new = dict(_flat(before)), dict(_flat(after))
    names = {
        key for key in (*old, *new) if not key.startswith("llava_dataset.")
    }  # train_dataloader.dataset has it again
    return {
        key: [old.get(key), new.get(key)] for key in sorted(names) if old.get(key) != new.get(key)
    }


def _flat(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    items: Any = value.items() if isinstance(value, Mapping) else None
    if (
        items is None
        and isinstance(value, (list, tuple))
        and any(isinstance(one, Mapping) for one in value)
    ):
        items = enumerate(value)
    if items is None:
        yield at, list(value) if isinstance(value, tuple) else value
        return
    for key, one in items:
        yield from _flat(one, f"{at}.{key}".lstrip("."))


def _set(config: Any, path: list[str], value: Any) -> None:
    """A place that this configuration does not have is passed over: top-level names are its
    author's choice."""
    *parents, last = path
    for name in parents:
        if isinstance(config, list):
            config = config[int(name)] if int(name) < len(config) else None
        else:
            config = config.setdefault(name, {}) if isinstance(config, dict) else None
        if config is None:
            return
    if value is None:
        config.pop(last, None)
    else:
        config[last] = value
