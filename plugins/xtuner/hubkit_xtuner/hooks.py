"""mmengine hooks of the training process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank, is_main_process
from mmengine.hooks import Hook

from .setup import FACTS


class Witness(Hook):
    """Writes down what xtuner really trains and feeds, and makes each iteration's dropout a
    function of seed and iteration, so that a resumed training repeats it."""

    priority = "VERY_HIGH"

    def before_train(self, runner: Any) -> None:
        if not is_main_process():
            return
        dataset, model = runner.train_dataloader.dataset, runner.model
        first = dataset[0]
        facts = {
            "trainable_parameters": sum(
                _size(one) for one in model.parameters() if one.requires_grad
            ),
            "samples": len(dataset),
            "iterations": runner.max_iters,
            "first": {
                "ids": [int(n) for n in first["input_ids"]],
                "labels": [int(n) for n in first["labels"]],
            },
        }
        Path(runner.work_dir, FACTS).write_text(json.dumps(facts), encoding="utf-8")

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        torch.manual_seed((runner.seed or 0) * 1_000_003 + batch_idx * 1_009 + get_rank())


def _size(parameter: Any) -> int:
    """Under ZeRO-3 a parameter holds nothing between uses; DeepSpeed keeps its size in
    `ds_numel`."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))
