"""The trainer: sets everything up, checks every record before the first step, trains, writes the adapter."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from hubkit.sdk import DataError, Record, Requirements, Run, TrainInput, TrainOutput, UsageError, read_records, stop_ids
from hubkit.sdk.codec import decode

from .options import Options

_SHOWN = (
    *("rank", "alpha", "dropout", "batch_size", "accumulation", "learning_rate", "weight_decay", "warmup_ratio"),
    "max_grad_norm",
)


class PeftTrainer:
    kind: ClassVar[str] = "trainer"
    name: ClassVar[str] = "peft"
    sdk: ClassVar[str] = "1.0"
    requirements: ClassVar[Requirements] = Requirements((("torch", "2.4"), ("transformers", "5.20"), ("peft", "0.21")), "peft")
    Options: ClassVar[type] = Options

    def train(self, job: TrainInput, run: Run) -> TrainOutput:
        from . import adapter, loop, order
        from .examples import Examples

        options = decode(Options, job.options, "options of trainer peft")
        _check_groups(options, job)
        tokenizer, encoder = _encoder(job)
        records = list(read_records(job.records))
        _check_records(records, encoder, options, run)
        device = _prepare(job, options)
        model = _model(job, tokenizer, options, device)
        steps = order.plan(len(records), options.batch_size * options.accumulation, options.steps, options.epochs)
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else encoder.stops[0]
        loop.train(loop.Training(job, options, model, Examples(encoder, records), steps, pad, device), run)
        adapter.write(model, job.output / adapter.FOLDER)
        return _output(options, model, steps, device)


def _check_groups(options: Options, job: TrainInput) -> None:
    unknown = sorted({*options.lora, *options.full} - set(job.groups))
    if unknown:
        known = ", ".join(sorted(job.groups))
        raise UsageError(f"lora/full: this model has no group {', '.join(unknown)}", f"choose from {known}")


def _encoder(job: TrainInput) -> tuple[Any, Any]:
    from .examples import Encoder
    from .model import load_tokenizer

    tokenizer = load_tokenizer(job.native)
    stops = stop_ids(json.loads((job.base / "generation_config.json").read_text("utf-8")))
    return tokenizer, Encoder(tokenizer, job.vision, job.images, stops)


def _check_records(records: list[Record], encoder: Any, options: Options, run: Run) -> None:
    """Reads every conversation and every picture's size, so that nothing fails hours later.

    Raises:
        DataError: there is no record, one has no answer, or one is longer than `max_length`.
    """
    if not records:
        raise DataError("there is nothing to train on", "check the dataset and the held-out share")
    for number, record in enumerate(records, 1):
        if not record.turns or not all(turn.answer for turn in record.turns):
            raise DataError(f"record {record.id}: an answer is empty", "give every turn an answer, or leave the record out")
        ids, _ = encoder.text(record, encoder.tile_counts(record))
        if len(ids) > options.max_length:
            raise DataError(
                f"record {record.id}: {len(ids):,} tokens, max_length is {options.max_length:,}",
                "raise max_length, shorten the text, or leave the record out (cutting it would cut picture positions)",
            )
        if number % 100 == 0 or number == len(records):
            run.check_cancelled()
            run.progress(number, len(records), "records checked")


def _prepare(job: TrainInput, options: Options) -> str:
    """Seeds and settings of torch; the device."""
    import os

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what torch asks for to be deterministic on CUDA
    import torch
    from transformers.utils import logging

    from .model import device_of

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.manual_seed(job.seed)
    return device_of(options)


def _model(job: TrainInput, tokenizer: Any, options: Options, device: str) -> Any:
    from .model import load, with_adapter

    base = load(job.native, tokenizer, job.vision, options, device)
    base.config.use_cache = False
    model = with_adapter(base, job.groups, options)
    if options.gradient_checkpointing:
        base.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    return model


def _output(options: Options, model: Any, steps: int, device: str) -> TrainOutput:
    from . import adapter, loop
    from .state import trained

    settings: dict[str, str | int | float | bool] = {name: getattr(options, name) for name in _SHOWN}
    settings |= {"method": "LoRA", "lora": ", ".join(options.lora), "full": ", ".join(options.full), "optimizer": "AdamW"}
    settings |= {"schedule": "cosine", "precision": str(model.dtype).removeprefix("torch."), "device": device}
    return TrainOutput(
        adapter=adapter.FOLDER,
        format="peft",
        metrics=loop.METRICS,
        steps=steps,
        samples=steps * options.batch_size * options.accumulation,
        trainable_parameters=sum(parameter.numel() for parameter in trained(model).values()),
        settings=settings,
    )
