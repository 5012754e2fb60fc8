"""A configuration with the keys of xtuner's own, and a job on the quickstart's tiny base."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubkit.sdk import Record, TrainInput, Turn

READ, PARITY = "<image>\nWhich digit is this?", "Is it even or odd?"

CONFIG: dict[str, Any] = {
    "path": "OpenGVLab/InternVL2-2B",
    "lr": 1e-6,
    "batch_size": 8,
    "accumulative_counts": 2,
    "max_epochs": 1,
    "model": {
        "type": "xtuner.model.InternVL_V1_5",
        "model_path": "OpenGVLab/InternVL2-2B",
        "freeze_llm": True,
        "freeze_visual_encoder": True,
        "llm_lora": {
            "type": "peft.LoraConfig",
            "r": 128,
            "lora_alpha": 256,
            "lora_dropout": 0.05,
            "target_modules": None,
        },
    },
    "train_dataloader": {
        "batch_size": 8,
        "num_workers": 4,
        "dataset": {
            "type": "xtuner.dataset.InternVL_V1_5_Dataset",
            "max_length": 8192,
            "template": "xtuner.utils.T",
        },
        "sampler": {
            "type": "xtuner.dataset.samplers.LengthGroupedSampler",
            "per_device_batch_size": 16,
        },
    },
    "optim_wrapper": {
        "type": "mmengine.optim.AmpOptimWrapper",
        "accumulative_counts": 2,
        "loss_scale": "dynamic",
        "dtype": "float16",
        "optimizer": {
            "type": "torch.optim.AdamW",
            "lr": 1e-6,
            "betas": (0.9, 0.999),
            "weight_decay": 0.05,
        },
        "clip_grad": {"max_norm": 1},
    },
    "param_scheduler": [
        {
            "type": "mmengine.optim.LinearLR",
            "by_epoch": True,
            "begin": 0,
            "end": 0.03,
            "convert_to_iter_based": True,
        },
        {
            "type": "mmengine.optim.CosineAnnealingLR",
            "by_epoch": True,
            "begin": 0.03,
            "end": 1,
            "convert_to_iter_based": True,
        },
    ],
    "train_cfg": {"type": "xtuner.engine.runner.TrainLoop", "max_epochs": 1},
    "default_hooks": {
        "logger": {"interval": 10},
        "checkpoint": {"interval": 1000, "max_keep_ckpts": 1, "save_optimizer": False},
    },
    "custom_hooks": [
        {"type": "xtuner.engine.hooks.DatasetInfoHook", "tokenizer": {"trust_remote_code": True}}
    ],
    "env_cfg": {"dist_cfg": {"backend": "nccl"}},
}


@pytest.fixture
def shipped() -> dict[str, Any]:
    """What xtuner's `internvl_v2_internlm2_2b_lora_finetune` says, as far as hubkit touches it."""
    return copy.deepcopy(CONFIG)


@pytest.fixture
def records() -> list[Record]:
    """One and two turns, one, two and three tiles, and one without a picture."""
    return [
        *(
            Record(
                f"d{d}",
                (f"{d}.png",),
                (Turn(READ, str(d)), Turn(PARITY, "odd" if d % 2 else "even")),
            )
            for d in range(10)
        ),
        Record("wide", ("wide.png",), (Turn(READ, "8"),)),
        Record("pair", ("1.png", "2.png"), (Turn("<image><image>\nWhich digits?", "12"),)),
        Record("text", (), (Turn("Spell it.", "four"),)),
    ]


@pytest.fixture
def job(train_input: Callable[..., TrainInput], records: list[Record]) -> Callable[..., TrainInput]:
    def build(chosen: list[Record] | None = None, name: str = "run", **options: Any) -> TrainInput:
        settings = {
            "rank": 4,
            "alpha": 8,
            "batch_size": 2,
            "iterations": 8,
            "learning_rate": 1e-3,
            "warmup_ratio": 0.3,
            "log_every": 1,
            "save_every": 2,
            "threads": 1,
            **options,
        }
        return train_input(records if chosen is None else chosen, name, settings)

    return build


@pytest.fixture(scope="session")
def tokenizer(native: Path) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(native)
