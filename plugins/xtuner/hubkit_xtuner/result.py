"""The finished training, judged, as the trainer's output."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hubkit.sdk import PluginError, Run, TrainOutput, json_text

from . import adapter, checkpoints, log, schedule
from .conversation import IGNORED, encode, first_prompt, shortened, tile_counts
from .setup import FACTS, Training

METRICS, CHANGES = "metrics.jsonl", "changes.json"


def finish(training: Training, lines: Mapping[int, log.Line], run: Run) -> TrainOutput:
    """Writes the adapter, metrics.jsonl and changes.json.

    Raises:
        PluginError: what xtuner trained or was fed is not what was asked for.
    """
    facts = _facts(training)
    chosen = _chosen(training, lines)
    state = adapter.read(checkpoints.found(training.work)[chosen])
    total = adapter.judge(state, training.parameters, int(facts["trainable_parameters"]))
    job, name = training.job, f"iter_{chosen}.pth"
    adapter.write(state, training.config, job.output / name)
    log.write_metrics(lines.values(), job.output / METRICS)
    _write_changes(training)
    run.note(f"{name}: {total:,} parameters in {len(state)} tensors")
    prompt, ids = _prompt(training, facts["first"])
    size, devices = (
        schedule.batch(training.config),
        training.options.devices * training.options.nodes,
    )
    return TrainOutput(
        adapter=name,
        format="xtuner",
        metrics=METRICS,
        steps=training.plan.iterations,
        samples=training.plan.iterations * size * devices,
        trainable_parameters=total,
        settings=_settings(training),
        prompt=prompt,
        prompt_ids=ids,
    )


def _facts(training: Training) -> dict[str, Any]:
    path = training.work / FACTS
    if not path.is_file():
        raise PluginError(
            "xtuner did not say what it trains", "remove the scratch folder and train again"
        )
    facts: dict[str, Any] = json_text.load(path)
    for name, expected in (
        ("samples", len(training.records)),
        ("iterations", training.plan.iterations),
    ):
        if facts[name] != expected:
            message = f"xtuner trained on {facts[name]} {name}, {expected} were asked for"
            raise PluginError(
                message, "see `repeat_times`, `max_iters` and the dataset in the configuration"
            )
    return facts


def _chosen(training: Training, lines: Mapping[int, log.Line]) -> int:
    """The iteration whose checkpoint is released."""
    here = list(checkpoints.found(training.work))
    if training.options.adapter == "last":
        return training.plan.iterations
    losses = checkpoints.mean_losses(list(training.plan.saved), lines)
    return next(iter(checkpoints.best({n: losses[n] for n in here if n in losses}, 1)), here[-1])


def _prompt(training: Training, first: Mapping[str, Sequence[int]]) -> tuple[str, tuple[int, ...]]:
    """What xtuner's dataset fed before the first answer, from its own ids.

    Raises:
        PluginError: with `prompt: template` they are not the ids of the chat template.
    """
    job, tokenizer, record = training.job, training.tokenizer, training.records[0]
    ids, labels = list(first["ids"]), list(first["labels"])
    asked = ids[: next(place for place, label in enumerate(labels) if label != IGNORED)]
    short = shortened(asked, tokenizer.convert_tokens_to_ids(job.vision.context))
    if training.options.prompt == "xtuner":
        return tokenizer.decode(
            short, skip_special_tokens=False, clean_up_tokenization_spaces=False
        ), short
    stops = training.config["train_dataloader"]["dataset"]["stops"]
    expected, _ = encode(
        tokenizer, record, tile_counts(record, job.images, job.vision), job.vision, stops
    )
    if ids != expected:
        raise PluginError(
            "xtuner was fed other ids than the chat template gives",
            "report this with the tokenizer's files",
        )
    return first_prompt(tokenizer, record, job.vision), short


def _settings(training: Training) -> dict[str, str | int | float | bool]:
    from importlib.metadata import version

    made, options = training.config, training.options
    lora = made["model"].get("llm_lora") or {}
    optimizer = made["optim_wrapper"]["optimizer"]
    values = {
        "method": "QLoRA" if options.quantize else "LoRA",
        "rank": lora.get("r"),
        "alpha": lora.get("lora_alpha"),
        "dropout": lora.get("lora_dropout"),
        "lora": "llm, vit" if made["model"].get("visual_encoder_lora") else "llm",
        "full": "projector",
        "batch_size": schedule.batch(made),
        "accumulation": schedule.accumulation(made),
        "epochs": made["train_cfg"].get("max_epochs"),
        "learning_rate": optimizer["lr"],
        "optimizer": "AdamW",
        "weight_decay": optimizer.get("weight_decay"),
        "warmup_iterations": training.plan.warmup,
        "schedule": "cosine",
        "max_length": made["train_dataloader"]["dataset"]["max_length"],
        "prompt": options.prompt,
        "device": "cuda" if training.gpu else "cpu",
        "devices": options.devices * options.nodes,
        "xtuner": version("xtuner"),
    }
    return {
        name: value for name, value in values.items() if isinstance(value, (str, int, float, bool))
    }


def _write_changes(training: Training) -> None:
    """The configuration's differences from the one it started from, without this machine's
    paths."""
    text = json.dumps(training.changes, indent=1, ensure_ascii=False, sort_keys=True, default=str)
    for path, name in training.masks.items():
        text = text.replace(json.dumps(path, ensure_ascii=False)[1:-1], name)
    (training.job.output / CHANGES).write_text(text + "\n", encoding="utf-8")
