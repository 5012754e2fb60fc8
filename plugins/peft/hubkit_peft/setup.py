"""Everything that must be right before the first step: settings of torch, records, model, batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from hubkit.sdk import Record, Run, TrainInput

from . import compiling, plain, processed
from .checked import check_groups, check_shares, measure, open_encoder, records_of
from .dry_run import free_memory, matmul_rate, outline, predicted
from .examples import AnyEncoder, Examples
from .forecast import Forecast, Size
from .gang import Gang
from .loop import Training
from .options import Options
from .plain import Plain
from .shares import Share, place_rest, share_all, sharing


def prepare(
    job: TrainInput, options: Options, run: Run
) -> tuple[Training, AnyEncoder, list[Record]]:
    """A training that can begin."""
    from . import model as models

    check_groups(options, job)
    check_shares(options, job)
    gang, device = Gang.of_environment(), settle(job, options)
    free = gang.least(free_memory(device))
    compiled, slower = compiling.settle(options, device)
    compiling.begin(compiled, device)
    encoder = open_encoder(job)
    records = records_of(job, options)
    sizes = measure(records, encoder, options, run)
    learnt, forecast = len(records) - options.validation, None
    if options.shard == "always" or (
        options.shard == "auto"
        and gang.size > 1
        and options.quantize == "none"
        and job.vision.fit != "processor"
    ):
        forecast = predicted(job, options, outline(job, options, device), sizes, learnt, gang, free)
    share = sharing(gang, device) if forecast and _shares(options, forecast) else None
    with gang.turn() if share else nullcontext():
        base = models.load(
            job.native,
            encoder.tokenizer,
            job.vision,
            job.groups,
            options,
            "cpu" if share else device,
        )
        base.config.use_cache = False
        model = models.with_adapter(base, job.groups, options)
        forecast = forecast or predicted(job, options, model, sizes, learnt, gang, free)
        program, kept = _program(
            model,
            encoder,
            job,
            options,
            forecast,
            sizes,
            learnt,
            free,
            device,
            share,
            compiled,
        )
    _tell(run, forecast, program, kept, gang, device)
    if slower and not isinstance(program, Plain):
        run.note(slower)
    training = Training(
        job,
        options,
        model,
        program,
        Examples(encoder, records, *([program.features.made] if program.features else [])),
        sizes,
        learnt,
        forecast.steps,
        forecast.batch_size,
        device,
        gang,
    )
    return training, encoder, records


def _shares(options: Options, forecast: Forecast) -> bool:
    return options.shard == "always" or forecast.shares > 1


def settle(job: TrainInput, options: Options) -> str:
    """Seeds and settings of torch; the device."""
    os.environ.setdefault(
        "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
    )  # what torch asks for to be deterministic on CUDA
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


def _program(
    model: Any,
    encoder: AnyEncoder,
    job: TrainInput,
    options: Options,
    forecast: Forecast,
    sizes: Sequence[Size],
    learnt: int,
    free: int,
    device: str,
    share: Share | None,
    compiled: bool,
) -> tuple[Any, str]:
    """The program, and what to say of the features that it keeps."""
    found = encoder.tokenizer.pad_token_id
    pad = encoder.stops[0] if found is None else found
    longest = -(-max(size.tokens for size in sizes) // 8) * 8
    if options.fast:
        from .fast import Arranged, Fast, blocks, features, vision

        own = job.vision.fit == "processor"
        if (Arranged if own else Fast).fits(model, longest):
            inner = model.get_base_model().model
            shape = blocks.shape(inner) if own else vision.shape(inner, job.vision)
            tiles = [] if share else [size.tiles for size in sizes[:learnt]]
            kept, said = features.settle(shape, model.dtype, options, forecast, tiles, device, free)
            if own:
                return Arranged(model, pad, compiled, forecast.checkpointing, kept), said
            fast = Fast(
                model,
                job.vision,
                longest,
                compiled,
                forecast.checkpointing,
                kept,
                device,
                share,
            )
            return fast, said
    if forecast.checkpointing:
        model.get_base_model().gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    if share:
        inner = model.get_base_model().model
        share_all(inner.language_model, inner.language_model.layers, share)
        share_all(inner.vision_tower, inner.vision_tower.encoder.layer, share)
        place_rest(model, device)
    if job.vision.fit == "processor":
        split = isinstance(encoder, processed.ProcessorEncoder) and encoder.processor.split
        program = Plain(model, partial(processed.padded, pad=pad), split)
        return program, ", samples padded, never packed"
    return Plain(model, partial(plain.padded, pad=pad, seen=job.vision)), ""


def _tell(run: Run, forecast: Forecast, program: Any, kept: str, gang: Gang, device: str) -> None:
    how = f"{'plain' if isinstance(program, Plain) else 'fast'} implementation" + (
        ", activations checkpointed" if forecast.checkpointing else ""
    )
    how += f", frozen weights in shares over {forecast.shares} GPUs" if forecast.shares > 1 else ""
    how += kept
    run.note(
        f"{forecast.steps:,} steps of {forecast.samples // forecast.steps} samples on {gang.size} "
        f"x {device}, {how}; predicted: {forecast.operations / 1e12:.3g} TFLOP a sample, "
        f"{forecast.memory / 2**30:.3g} GiB"
    )
    if device == "cuda" and not gang.rank:
        rate = matmul_rate(device)
        seconds = forecast.seconds(0.5 * rate * gang.size)
        run.note(
            f"predicted: {seconds / 60:.3g} minutes at half of the {rate / 1e12:.0f} TFLOP/s "
            "measured, after compiling"
        )
