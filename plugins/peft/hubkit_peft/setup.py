"""Everything that must be right before the first step: settings of torch, records, model, batch, and what it will cost."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from hubkit.sdk import DataError, Record, Run, TrainInput, UsageError, read_records, stop_ids

from .examples import IGNORED, Encoder, Examples
from .forecast import Forecast, Predictor, Size, predict
from .gang import Gang
from .loop import Training
from .options import Options
from .order import plan
from .shares import Share, place_rest, share_all, sharing


def prepare(job: TrainInput, options: Options, run: Run) -> tuple[Training, Encoder, list[Record]]:
    """A training that can begin."""
    from . import model as models

    check_groups(options, job)
    gang = Gang.of_environment()
    tokenizer, encoder = open_encoder(job)
    records = _validation_last(list(read_records(job.records)), options, job.seed)
    sizes = measure(records, encoder, options, run)
    device = settle(job, options)
    learnt = len(records) - options.validation
    forecast = None
    if options.shard == "always" or (options.shard == "auto" and gang.size > 1 and options.quantize == "none"):
        forecast = _forecast(job, options, _outline(job, options, device), sizes, learnt, gang, device)
    share = sharing(gang, device) if forecast and _shares(options, forecast) else None
    with gang.turn() if share else nullcontext():
        base = models.load(job.native, tokenizer, job.vision, job.groups, options, "cpu" if share else device)
        base.config.use_cache = False
        model = models.with_adapter(base, job.groups, options)
        forecast = forecast or _forecast(job, options, model, sizes, learnt, gang, device)
        program = _program(model, tokenizer, encoder, job, options, forecast, sizes, device, share)
    _tell(run, forecast, program, gang, device)
    training = Training(
        job, options, model, program, Examples(encoder, records), sizes, learnt, forecast.steps, forecast.batch_size, device, gang
    )
    return training, encoder, records


def foresee(job: TrainInput, options: Options, run: Run) -> Forecast:
    """Steps, memory and operations of `job` on this machine, from records and configuration; no weight is read."""
    import torch

    from . import model as models

    check_groups(options, job)
    records = _validation_last(list(read_records(job.records)), options, job.seed)
    sizes = measure(records, open_encoder(job)[1], options, run)
    device = models.device_of(options)
    gang = Gang(0, options.gpus or torch.cuda.device_count()) if device == "cuda" else Gang()
    return _forecast(job, options, _outline(job, options, device), sizes, len(records) - options.validation, gang, device)


def _outline(job: TrainInput, options: Options, device: str) -> Any:
    """The model without numbers, from its configuration; no random number is drawn."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    from . import model as models

    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        base = AutoModelForImageTextToText.from_config(
            AutoConfig.from_pretrained(job.native), dtype=models.dtype_of(options, device)
        )
        return models.with_adapter(base, job.groups, options)


def _shares(options: Options, forecast: Forecast) -> bool:
    return options.shard == "always" or forecast.shares > 1


def check_groups(options: Options, job: TrainInput) -> None:
    unknown = sorted({*options.lora, *options.full} - set(job.groups))
    if unknown:
        known = ", ".join(sorted(job.groups))
        raise UsageError(f"lora/full: this model has no group {', '.join(unknown)}", f"choose from {known}")


def open_encoder(job: TrainInput) -> tuple[Any, Encoder]:
    from .model import load_tokenizer

    tokenizer = load_tokenizer(job.native)
    stops = stop_ids(json.loads((job.base / "generation_config.json").read_text("utf-8")))
    return tokenizer, Encoder(tokenizer, job.vision, job.images, stops)


def measure(records: Sequence[Record], encoder: Encoder, options: Options, run: Run) -> tuple[Size, ...]:
    """Reads every conversation and every picture's size, so that nothing fails hours later.

    Raises:
        DataError: there is no record, one has no answer, or one is longer than `max_length`.
    """
    if not records:
        raise DataError("there is nothing to train on", "check the dataset and the held-out share")
    sizes = []
    for number, record in enumerate(records, 1):
        if not record.turns or not all(turn.answer for turn in record.turns):
            raise DataError(f"record {record.id}: an answer is empty", "give every turn an answer, or leave the record out")
        tiles = encoder.tile_counts(record)
        ids, labels = encoder.text(record, tiles)
        if len(ids) > options.max_length:
            raise DataError(
                f"record {record.id}: {len(ids):,} tokens, max_length is {options.max_length:,}",
                "raise max_length, shorten the text, or leave the record out (cutting it would cut picture positions)",
            )
        sizes.append(Size(len(ids), sum(label != IGNORED for label in labels[1:]), sum(tiles)))
        if number % 100 == 0 or number == len(records):
            run.check_cancelled()
            run.progress(number, len(records), "records checked")
    return tuple(sizes)


def _validation_last(records: list[Record], options: Options, seed: int) -> list[Record]:
    """The records in their order, but those for validation, drawn by the seed, at the end.

    Raises:
        UsageError: nothing is left to learn from.
    """
    import random

    if records and options.validation >= len(records):
        raise UsageError(
            f"validation is {options.validation:,}, there are {len(records):,} records", "set fewer aside for validation"
        )
    aside = set(random.Random(f"{seed}/validation").sample(range(len(records)), options.validation if records else 0))
    return [r for n, r in enumerate(records) if n not in aside] + [r for n, r in enumerate(records) if n in aside]


def settle(job: TrainInput, options: Options) -> str:
    """Seeds and settings of torch; the device."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what torch asks for to be deterministic on CUDA
    import torch
    from transformers.utils import logging

    from .model import device_of

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = device_of(options)
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    exact = options.deterministic if options.deterministic != "auto" else device == "cpu"
    torch.use_deterministic_algorithms(exact, warn_only=True)
    torch.manual_seed(job.seed)
    return device


def _forecast(
    job: TrainInput, options: Options, model: Any, sizes: Sequence[Size], learnt: int, gang: Gang, device: str
) -> Forecast:
    import torch

    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    config = json.loads((job.native / "config.json").read_text("utf-8"))
    predictor = Predictor(config, options, weights - 4 * trained, trained)
    bytes_each = model.get_base_model().lm_head.weight.element_size()
    held = weights if next(model.parameters()).is_cuda else 0
    free = torch.cuda.mem_get_info()[0] + held if device == "cuda" else 2**62
    batch, checkpointing = predictor.choose(sizes, free, bytes_each)
    fits = predictor.fits(sizes, batch, checkpointing, free, bytes_each)
    if options.shard == "always" or (options.shard == "auto" and options.quantize == "none" and not fits):
        predictor = Predictor(config, options, weights - 4 * trained, trained, gang.size)
        batch, checkpointing = predictor.choose(sizes, free, bytes_each)
    a_step = batch * options.accumulation * gang.size
    steps = plan(learnt, a_step, options.steps, options.epochs)
    return predict(predictor, sizes, batch, checkpointing, steps, steps * a_step, bytes_each)


def _program(
    model: Any, tokenizer: Any, encoder: Encoder, job: TrainInput, options: Options, forecast: Forecast, sizes: Sequence[Size],
    device: str, share: Share | None,
) -> Any:  # fmt: skip
    from .plain import Plain

    longest = -(-max(size.tokens for size in sizes) // 8) * 8
    if options.implementation == "auto" and options.quantize == "none":
        from .fast import Fast

        if Fast.fits(model, longest):
            compiled = options.compile if options.compile != "auto" else device == "cuda"
            return Fast(model, job.vision, longest, compiled, forecast.checkpointing, options.cache_vision, device, share)
    if forecast.checkpointing:
        model.get_base_model().gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    if share:
        inner = model.get_base_model().model
        share_all(inner.language_model, inner.language_model.layers, share)
        share_all(inner.vision_tower, inner.vision_tower.encoder.layer, share)
        place_rest(model, device)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else encoder.stops[0]
    return Plain(model, job.vision, pad)


def _tell(run: Run, forecast: Forecast, program: Any, gang: Gang, device: str) -> None:
    how = f"{type(program).__name__.lower()} implementation" + (", activations checkpointed" if forecast.checkpointing else "")
    how += f", frozen weights in shares over {forecast.shares} GPUs" if forecast.shares > 1 else ""
    run.note(
        f"{forecast.steps:,} steps of {forecast.samples // forecast.steps} samples on {gang.size} x {device}, {how}; predicted: "
        f"{forecast.operations / 1e12:.3g} TFLOP a sample, {forecast.memory / 2**30:.3g} GiB"
    )
    if device == "cuda" and not gang.rank:
        rate = matmul_rate()
        seconds = forecast.seconds(0.5 * rate * gang.size)
        run.note(f"predicted: {seconds / 60:.3g} minutes at half of the {rate / 1e12:.0f} TFLOP/s measured, after compiling")


def matmul_rate() -> float:
    """Operations a second of a large bfloat16 product on this GPU."""
    import torch

    size = 8192
    one, other = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    for _ in range(3):
        one @ other
    begin.record()
    for _ in range(10):
        one @ other
    end.record()
    end.synchronize()
    return 10 * 2 * size**3 / (float(begin.elapsed_time(end)) / 1e3)
