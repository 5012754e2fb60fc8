"""What a training takes, from records and configuration, before a weight is read."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from hubkit.sdk import Foreseen, Run, TrainInput, json_text

from . import checked, compiling
from .forecast import Forecast, Predictor, Size, predict
from .gang import Gang
from .options import Options
from .order import plan


def foresee(job: TrainInput, options: Options, run: Run) -> Foreseen:
    """Steps, memory and time of `job` on this machine, from records and configuration; no weight is
    read."""
    import torch

    from . import model as models

    checked.check_groups(options, job)
    records = checked.records_of(job, options)
    sizes = checked.measure(records, checked.open_encoder(job), options, run)
    device = models.device_of(options)
    _, slower = compiling.settle(options, device)
    gang = Gang(0, options.gpus or torch.cuda.device_count()) if device == "cuda" else Gang()
    learnt = len(records) - options.validation
    forecast = predicted(
        job, options, outline(job, options, device), sizes, learnt, gang, free_memory(device)
    )
    rate = matmul_rate(device) / 2
    notes = [
        (
            f"{forecast.operations / 1e12:.3g} TFLOP a record, at {rate / 1e12:.3g} TFLOP/s on "
            f"each of {gang.size} x {device}"
        )
    ]
    notes += [f"frozen weights in shares over {forecast.shares} GPUs"] * (forecast.shares > 1)
    notes += ["activations are made again in the backward pass"] * forecast.checkpointing
    notes += [slower] if slower else []
    return Foreseen(
        forecast.steps,
        forecast.samples,
        forecast.batch_size,
        forecast.memory,
        forecast.seconds(rate * gang.size),
        tuple(notes),
    )


def outline(job: TrainInput, options: Options, device: str) -> Any:
    """The model without numbers, from its configuration; no random number is drawn."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    from . import model as models

    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        base = AutoModelForImageTextToText.from_config(
            AutoConfig.from_pretrained(job.native), dtype=models.dtype_of(options, device)
        )
        return models.with_adapter(base, job.groups, options)


def predicted(
    job: TrainInput,
    options: Options,
    model: Any,
    sizes: Sequence[Size],
    learnt: int,
    gang: Gang,
    free: int,
) -> Forecast:
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    config = described(job)
    predictor = Predictor(config, options, weights - 4 * trained, trained)
    bytes_each = model.get_base_model().get_output_embeddings().weight.element_size()
    batch, checkpointing = predictor.choose(sizes, free, bytes_each)
    fits = predictor.fits(sizes, batch, checkpointing, free, bytes_each)
    if options.shard == "always" or (
        options.shard == "auto"
        and options.quantize == "none"
        and job.vision.fit != "processor"
        and not fits
    ):
        predictor = Predictor(config, options, weights - 4 * trained, trained, gang.size)
        batch, checkpointing = predictor.choose(sizes, free, bytes_each)
    a_step = batch * options.accumulation * gang.size
    steps = plan(learnt, a_step, options.steps, options.epochs)
    return predict(predictor, sizes, batch, checkpointing, steps, steps * a_step, bytes_each)


def described(job: TrainInput) -> Mapping[str, Any]:
    """What a Predictor is made of. Where a processor arranges the pictures, they are counted in
    patches, and configurations have several names for one thing: a vision transformer's `embed_dim`
    and `depth` are Qwen2-VL's, whose `hidden_size` is the language model's."""
    if job.vision.fit != "processor":
        config: Mapping[str, Any] = json_text.load(job.native / "config.json")
        return config
    from transformers import AutoConfig

    found = AutoConfig.from_pretrained(job.native)
    vision = found.vision_config.to_dict()
    width = vision.get("embed_dim") or vision["hidden_size"]
    tower = {
        "hidden_size": width,
        "intermediate_size": vision.get("intermediate_size") or int(width * vision["mlp_ratio"]),
        "num_hidden_layers": vision.get("depth") or vision["num_hidden_layers"],
    }
    return {"text_config": _text(found.get_text_config()), "vision_config": tower}


def _text(config: Any) -> Mapping[str, Any]:
    """OPT and T5 have other names for the inner width; T5 has as many layers again that write."""
    inner = next(
        getattr(config, key)
        for key in ("intermediate_size", "ffn_dim", "d_ff")
        if hasattr(config, key)
    )
    return {
        **config.to_dict(),
        "hidden_size": config.hidden_size,
        "num_attention_heads": config.num_attention_heads,
        "num_hidden_layers": config.num_hidden_layers + getattr(config, "num_decoder_layers", 0),
        "intermediate_size": inner,
        **({"head_dim": config.head_dim} if getattr(config, "head_dim", None) else {}),
    }


def free_memory(device: str) -> int:
    """Bytes of GPU memory, before the model is there; no more than torch was told to take of it."""
    import torch

    if device == "cpu":
        return 2**62
    free, whole = torch.cuda.mem_get_info()
    share = getattr(torch.cuda, "get_per_process_memory_fraction", lambda: 1.0)
    return min(int(free), int(whole * share()))


def matmul_rate(device: str) -> float:
    """Operations a second of a large product: bfloat16 on a GPU, float32 on a CPU."""
    import torch

    if device == "cpu":
        one, size, begun = torch.randn(1024, 1024), 1024, time.perf_counter()
        for _ in range(4):
            one @ one
        return 4 * 2 * size**3 / (time.perf_counter() - begun)
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
