"""Training a LoRA on a model of InternVL2-2B's true dimensions, on one GPU or several, beside
transformers and PEFT as shipped.

    python benchmarks/train_gpu.py                       # the whole table
    python benchmarks/train_gpu.py --only "hubkit, batch 8" --profile
    python benchmarks/train_gpu.py --gpus 2 --only "hubkit, batch 8"
    python benchmarks/train_gpu.py --nodes 1 2 --only "hubkit, batch 8"   # of one GPU each, over
                                                                          torchrun
    python benchmarks/train_gpu.py --size 8B --memory 78 --only "hubkit, batch by memory"
    python benchmarks/train_gpu.py --size qwen2.5-vl-3B --only "hubkit plain, batch 8"
    python benchmarks/train_gpu.py --xtuner PYTHON       # and XTuner beside it, with that
                                                         interpreter (train_xtuner.py)

Weights are random, pictures are 1344 x 896 JPEG files (six tiles and a thumbnail: 1,792 positions),
texts have 71 to 128 tokens, about 48 of them answers; rank 128, alpha 256, dropout 0.05 on every
linear layer of the LLM, `mlp1` whole. Pictures are read, tiled and normalised while it trains. The
peak is that of a bfloat16 product of 8192 x 8192 matrices, measured first: for a moment, and over
two seconds, when the card holds its power limit. Every row is the trainer itself over the same
records in the same order; steps before `WARM` (compiling) are not counted. The first step's time is
from the start of its process; what it compiles is kept in `--folder`, so that a row named twice
shows a second run. Memory is torch's peak of allocated memory; `--memory` lets torch take so many
GiB and no more.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [
    str(Path(__file__).resolve().parents[1] / part)
    for part in ("", "plugins/peft", "plugins/internvl", "plugins/qwen_vl", "benchmarks")
]

from merge import config  # noqa: E402

WARM, STEPS = 6, 22
QWEN = "qwen2.5-vl-3B"
RECORDS, PICTURES = 256, 48
TINY = {
    "llm_config": {
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_hidden_layers": 2,
    },
    "vision_config": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
    },
}
COMMON = {
    "rank": 128,
    "alpha": 256.0,
    "dropout": 0.05,
    "learning_rate": 3e-5,
    "weight_decay": 0.05,
    "steps": STEPS,
    "cache_vision": 0.0,
}
ROWS: dict[str, dict[str, Any]] = {
    "transformers + PEFT as shipped, batch 4": {
        "batch_size": 4,
        "implementation": "shipped",
        "steps": 18,
    },
    "hubkit plain, batch 8": {"batch_size": 8, "implementation": "plain", "steps": 18},
    "hubkit, batch 8": {"batch_size": 8},
    "hubkit, batch 16": {"batch_size": 16},
    "hubkit, batch 4": {"batch_size": 4},
    "hubkit, batch 8, packed": {"batch_size": 8, "packing": "always"},
    "hubkit, batch 8, dropout 0": {"batch_size": 8, "dropout": 0.0},
    "hubkit, batch 8, checkpointing": {"batch_size": 8, "gradient_checkpointing": True},
    "hubkit, batch 8, sharded": {"batch_size": 8, "shard": "always"},
    "hubkit, batch 8, from the second epoch": {
        "batch_size": 8,
        "cache_vision": "auto",
        "steps": RECORDS // 8 + 48,
    },
    "hubkit, batch by memory": {"batch_size": 0},
}


def make(folder: Path, size: str, tiny: bool) -> None:
    """`base`, `native`, `images`, `records.jsonl` and the job's other parts."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    from hubkit.sdk.codec import encode

    (folder / "base").mkdir(parents=True)
    (folder / "native").mkdir()
    write = _write_qwen if size == QWEN else _write_internvl
    family, settings, native, stops = write(folder / "native", size, tiny)
    (folder / "base/generation_config.json").write_text(json.dumps({"eos_token_id": stops}))
    (folder / "native/config.json").write_text(json.dumps(native.config))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(
            AutoConfig.from_pretrained(folder / "native"), dtype=torch.bfloat16
        )
    model.save_pretrained(folder / "native")
    del model
    job = {"groups": encode(native.groups), "vision": encode(family.vision(settings, None))}
    (folder / "job.json").write_text(json.dumps(job))
    _write_records(folder)


def _write_internvl(folder: Path, size: str, tiny: bool) -> tuple[Any, Any, Any, list[int]]:
    """The family, config.json, the native view and the ids that end an answer."""
    from hubkit_internvl import InternVL

    settings = config(size)
    if tiny:
        for part, values in TINY.items():
            settings[part] |= values
    family = InternVL()
    native = family.native(settings, {"<IMG_CONTEXT>": 92546, "<img>": 92544, "</img>": 92545})
    special = {
        1: "<s>",
        2: "</s>",
        92542: "<|im_end|>",
        92543: "<|im_start|>",
        92544: "<img>",
        92545: "</img>",
        92546: "<IMG_CONTEXT>",
    }
    template = (
        "<s>{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] "
        "}}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    _write_tokenizer(folder, special, template, "</s>")
    return family, settings, native, [2, 92542]


def _write_qwen(folder: Path, size: str, tiny: bool) -> tuple[Any, Any, Any, list[int]]:
    """Qwen2.5-VL-3B, whose own processor arranges the pictures."""
    from hubkit_qwen_vl import QwenVL
    from hubkit_qwen_vl.conformance import CONFIG

    special = {
        **{151643: "<|endoftext|>", 151644: "<|im_start|>", 151645: "<|im_end|>"},
        **{151652: "<|vision_start|>", 151653: "<|vision_end|>"},
        **{151655: "<|image_pad|>", 151656: "<|video_pad|>"},
    }
    settings = {
        **CONFIG,
        **{"bos_token_id": 151643, "eos_token_id": 151645, "rope_theta": 1000000.0},
        **{"max_position_embeddings": 128000, "rms_norm_eps": 1e-6, "hidden_act": "silu"},
        **{"vision_start_token_id": 151652, "vision_end_token_id": 151653},
        **{
            "video_token_id": 151656,
            "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        },
        "vision_config": {**CONFIG["vision_config"], "fullatt_block_indexes": [7, 15, 23, 31]},
    }
    if tiny:
        settings |= TINY["llm_config"]
        settings["rope_scaling"] = {"type": "mrope", "mrope_section": [4, 6, 6]}
        settings["vision_config"] |= {"depth": 2, "hidden_size": 64, "intermediate_size": 128}
        settings["vision_config"] |= {"num_heads": 4, "out_hidden_size": 128}
    template = (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for part in m['content'] %}"
        "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
        "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    _write_tokenizer(folder, special, template, "<|endoftext|>")
    processor = {
        **{"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 14, "merge_size": 2},
        **{"processor_class": "Qwen2_5_VLProcessor", "temporal_patch_size": 2},
        **{"min_pixels": 3136, "max_pixels": 12845056},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    family = QwenVL()
    return family, settings, family.native(settings), [151645]


def _write_tokenizer(folder: Path, special: dict[int, str], template: str, pad: str) -> None:
    """One token a word."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    vocabulary = {special.get(number, f"w{number}"): number for number in range(max(special) + 1)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(
        [AddedToken(text, special=True, normalized=False) for text in special.values()]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": template,
        "pad_token": pad,
        "eos_token": pad,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def _write_records(folder: Path) -> None:
    import numpy
    from PIL import Image

    from hubkit.sdk import Record, Turn, write_jsonl

    dice, noise = random.Random(0), numpy.random.default_rng(0)
    (folder / "images").mkdir()
    for number in range(PICTURES):
        small = Image.fromarray(noise.integers(0, 256, (112, 168, 3), dtype=numpy.uint8))
        small.resize((1344, 896), 3).save(folder / f"images/{number}.jpg", quality=90)

    def words(count: int) -> str:
        return " ".join(f"w{dice.randrange(10, 92000)}" for _ in range(count))

    def record(number: int) -> Record:
        answers = dice.randrange(44, 53)
        prompt = f"<image>\n{words(dice.randrange(71, 129) - answers - 11)}"
        return Record(str(number), (f"{number % PICTURES}.jpg",), (Turn(prompt, words(answers)),))

    write_jsonl(folder / "records.jsonl", [record(number) for number in range(RECORDS)])


class Watch:
    """A Run that keeps the time of each step, and a profile of three of them."""

    def __init__(self, profiled: bool) -> None:
        self.times: dict[int, float] = {}
        self.losses: list[float] = []
        self.profiled, self.profile, self.window = profiled, None, 0.0

    def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
        if unit != "steps":
            return
        self.times[int(done)] = time.perf_counter()
        self.losses.append(numbers["loss"])
        if self.profiled and done == WARM + 1:
            from torch.profiler import ProfilerActivity, profile

            self.profile = profile(activities=[ProfilerActivity.CUDA])
            self.profile.start()
            self.window = time.perf_counter()
        if self.profiled and done == WARM + 4:
            import torch

            torch.cuda.synchronize()
            self.window = time.perf_counter() - self.window
            self.profile.stop()

    def note(self, message: str) -> None:
        print(f"    {message}", file=sys.stderr, flush=True)

    def check_cancelled(self) -> None:
        return None


def job_of(folder: Path, out: Path, options: dict[str, Any]) -> Any:
    from hubkit.sdk import TrainInput
    from hubkit.sdk.codec import decode

    parts = json.loads((folder / "job.json").read_text())
    places = {name: str(folder / name) for name in ("base", "native", "images")} | {
        "records": str(folder / "records.jsonl")
    }
    for name in ("output", "scratch"):
        (out / name).mkdir(parents=True)
        places[name] = str(out / name)
    return decode(TrainInput, {**places, **parts, "seed": 0, "options": options}, "job")


def run_row(
    folder: Path, name: str, gpus: int, profiled: bool, memory: float, begun: float
) -> dict[str, Any]:
    """`begun` is when the process was started, by `time.time()`."""
    import torch
    from hubkit_peft import PeftTrainer

    if memory:
        whole = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(memory * 2**30 / whole)
    begun += time.perf_counter() - time.time()
    options = {**COMMON, **ROWS[name], "gpus": gpus}
    if options.get("implementation") == "shipped":
        options["implementation"] = "plain"
        _as_shipped()
    out = Path(tempfile.mkdtemp(prefix="row-", dir=folder))
    watch = Watch(profiled)
    try:
        done = PeftTrainer().train(job_of(folder, out, options), watch)
    finally:
        shutil.rmtree(out)
    if int(os.environ.get("RANK", "0")):
        return {}  # the first node tells
    gpus = int(os.environ.get("WORLD_SIZE", gpus))
    total, batch = time.perf_counter() - begun, int(done.settings["batch_size"])
    seen = RECORDS // batch if options["cache_vision"] else 0
    first, last = max(WARM + 4 * profiled, seen + 2), options["steps"]
    speed = (last - first) * batch * gpus / (watch.times[last] - watch.times[first])
    peak = (
        torch.cuda.max_memory_allocated() / 2**30
        if torch.cuda.is_available() and gpus == 1
        else 0.0
    )
    warm = (
        watch.times[WARM] - begun - WARM * (watch.times[last] - watch.times[first]) / (last - first)
    )
    result = {
        "speed": speed,
        "batch": batch,
        "memory": peak,
        "losses": watch.losses[:3] + watch.losses[-1:],
        "warm": warm,
        "total": total,
    }
    if profiled:
        result["profile"] = profile_of(watch)
    return result


def _as_shipped() -> None:
    """transformers and PEFT by their defaults: a bfloat16 model, float32 adapters that PEFT casts
    its inputs to, no autocast."""
    from contextlib import nullcontext

    import torch
    from hubkit_peft import model as models

    def with_adapter(model: Any, groups: Any, options: Any) -> Any:
        from peft import LoraConfig, get_peft_model

        targets = sorted(
            name for key in options.lora for name in models._linears(model, groups[key])
        )
        settings = LoraConfig(
            r=options.rank,
            lora_alpha=options.alpha,
            lora_dropout=options.dropout,
            target_modules=targets,
            modules_to_save=[groups["projector"].prefix],
        )
        return get_peft_model(model, settings)

    models.with_adapter = with_adapter
    torch.autocast = lambda *_, **__: nullcontext()


KINDS = (
    ("attention", ("sdpa", "flash", "attention", "dot_do_o")),
    ("products", ("nvjet", "gemm", "cutlass", "cublas", "splitK")),
    ("optimizer", ("multi_tensor", "adam", "lpnorm")),
    ("fused steps", ("triton",)),
    ("copies", ("Memcpy", "Memset", "copy")),
)


def profile_of(watch: Watch) -> dict[str, Any]:
    """Milliseconds a step by kind of kernel, and the 14 kernels that take most."""
    kinds: dict[str, float] = defaultdict(float)
    events = [event for event in watch.profile.key_averages() if event.self_device_time_total]
    for event in events:
        kind = next(
            (kind for kind, marks in KINDS if any(mark in event.key for mark in marks)), "other"
        )
        kinds[kind] += event.self_device_time_total / 3e3
    kinds["idle"] = watch.window * 1e3 / 3 - sum(kinds.values())
    top = sorted(events, key=lambda event: -event.self_device_time_total)[:14]
    return {
        "milliseconds": dict(kinds),
        "gaps": gaps_of(watch.profile.events()),
        "top": [
            (round(event.self_device_time_total / 3e3, 2), event.count // 3, event.key[:80])
            for event in top
        ],
    }


def gaps_of(events: Any) -> list[tuple[float, int, str]]:
    """Where nothing ran on the GPU: milliseconds a step, times a step, and before which kernel, for
    gaps below 20 microseconds together and for the 6 kernels that were waited for longest."""
    from torch.autograd import DeviceType

    spans = sorted(
        (event.time_range.start, event.time_range.end, event.name)
        for event in events
        if event.device_type is DeviceType.CUDA  # the others are calls of the driver
    )
    found: dict[str, list[float]] = defaultdict(list)
    busy_until = spans[0][1] if spans else 0.0
    for start, end, name in spans:
        if start > busy_until:
            found[name[:60] if start - busy_until >= 20 else "short"].append(start - busy_until)
        busy_until = max(busy_until, end)
    rows = [(sum(gaps) / 3e3, len(gaps) // 3, name) for name, gaps in found.items()]
    return sorted(rows, reverse=True)[:7]


def operations(folder: Path) -> float:
    """Of an average sample; the trainer's own prediction."""
    from hubkit_peft import checked, dry_run
    from hubkit_peft.forecast import Predictor
    from hubkit_peft.options import Options

    from hubkit.sdk import SilentRun, read_records

    out = Path(tempfile.mkdtemp(dir=folder))
    options = Options(rank=128)
    job = job_of(folder, out, {})
    records = list(read_records(job.records))
    sizes = checked.measure(records, checked.open_encoder(job), options, SilentRun())
    shutil.rmtree(out)
    predictor = Predictor(dry_run.described(job), options, 0, 0)
    tokens = sorted(size.tokens for size in sizes)
    print(f"{len(sizes)} records of {tokens[0]:,} to {tokens[-1]:,} tokens", end=", ")
    return sum(map(predictor.operations, sizes)) / len(sizes)


def peaks() -> tuple[float, float]:
    """(for a moment, over two seconds), operations a second of a bfloat16 product."""
    import torch
    from hubkit_peft.dry_run import matmul_rate

    if not torch.cuda.is_available():
        return 1e11, 1e11
    burst, rates, until = matmul_rate("cuda"), [], time.perf_counter() + 2
    while time.perf_counter() < until:
        rates.append(matmul_rate("cuda"))
    return burst, sum(rates[len(rates) // 2 :]) / len(rates[len(rates) // 2 :])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=ROWS)
    parser.add_argument("--gpus", type=int, nargs="*", default=[1])
    parser.add_argument(
        "--nodes", type=int, nargs="*", help="processes that see one GPU each; instead of --gpus"
    )
    parser.add_argument("--profile", action="store_true", help="of three steps of each row")
    parser.add_argument(
        "--tiny", action="store_true", help="two layers of 128, to see in a minute that it works"
    )
    parser.add_argument("--size", default="2B", help=f"2B, 8B, 3.5-2B or {QWEN}")
    parser.add_argument("--memory", type=float, default=0.0, help="GiB that torch may take, of all")
    parser.add_argument("--xtuner", type=Path, help="interpreter of an environment with XTuner")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--begun", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.row:
        row = given.folder, given.row, given.gpus[0], given.profile, given.memory, given.begun
        print(json.dumps(run_row(*row)))
        return
    folder = given.folder or Path(tempfile.mkdtemp(prefix="hubkit-train-"))
    try:
        if not (folder / "job.json").exists():
            make(folder, given.size, given.tiny)
        report(folder, given)
    finally:
        if given.folder is None:
            shutil.rmtree(folder)


def report(folder: Path, given: argparse.Namespace) -> None:
    work = operations(folder)
    burst, held = peaks()
    print(
        f"{work / 1e12:.1f} TFLOP a sample; bf16 peak {burst / 1e12:.0f} TFLOP/s, held over 2 s "
        f"{held / 1e12:.0f}",
        flush=True,
    )
    print(
        f"{'':42}{'samples/s':>10}{'TFLOP/s':>9}{'of peak':>9}{'of held':>9}{'GiB':>7}{'ratio':>7}",
        flush=True,
    )
    base = None

    def show(title: str, row: dict[str, Any], gpus: int = 1) -> None:
        nonlocal base
        base = base or row["speed"]
        rate = row["speed"] * work
        shares = f"{rate / burst / gpus:9.1%}{rate / held / gpus:9.1%}"
        more = (
            (
                f"  first step after {row['warm']:.0f} s, losses "
                f"{' '.join(f'{x:.4f}' for x in row['losses'])}"
            )
            if "losses" in row
            else ""
        )
        ratio = row["speed"] / base
        print(
            f"{title:42}{row['speed']:10.2f}{rate / 1e12:9.0f}{shares}"
            f"{row['memory']:7.1f}{ratio:7.2f}{more}",
            flush=True,
        )

    for count in given.nodes or given.gpus:
        for name in given.only or ROWS:
            row = child(folder, name, count, given)
            if row is None:
                continue
            title = name.replace("by memory", f"{row['batch']} by memory")
            several = f"{title}, {count} {'nodes' if given.nodes else 'GPUs'}"
            show(title if count == 1 else several, row, count)
            if "profile" in row:
                show_profile(row["profile"])
    for attention, name in (
        (("eager", "eager attention"), ("auto", "torch's attention")) if given.xtuner else ()
    ):
        if row := xtuner(given.xtuner, attention):
            show(f"XTuner, ZeRO-2, batch 4, {name}", row)


def xtuner(python: Path, attention: str) -> dict[str, Any] | None:
    """XTuner at the same settings; without flash-attn the models' own code attends eagerly,
    hubkit's modules as torch does."""
    command = [
        sys.executable,
        str(Path(__file__).with_name("train_xtuner.py")),
        "--python",
        str(python),
        "--iterations",
        "30",
    ]
    done = subprocess.run([*command, "--attention", attention], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        print(f"XTuner, {attention} attention: failed", flush=True)
        return None
    found = json.loads(done.stdout.splitlines()[-1])
    return {"speed": found["samples_per_second"], "memory": found["peak_gb"] * 1e9 / 2**30}


def child(folder: Path, name: str, count: int, given: argparse.Namespace) -> dict[str, Any] | None:
    """The row, measured in a process of its own, or one for each node; None, and why on stderr,
    when it failed."""
    row = {"folder": folder, "row": name, "memory": given.memory, "begun": time.time()}
    command = [__file__, "--gpus", "1" if given.nodes else str(count)]
    command += [word for key, value in row.items() for word in (f"--{key}", str(value))]
    command += ["--profile"] * (given.profile and count == 1)
    environment = {
        **{name: value for name, value in os.environ.items() if "INDUCTOR" not in name},
        "TOKENIZERS_PARALLELISM": "false",
        "HUBKIT_HOME": str(folder / "home"),
    }
    with contextlib.ExitStack() as stack:
        for node in range(1, count if given.nodes else 1):
            stack.enter_context(_node(node, count, command, environment))
        with _node(0, count if given.nodes else 1, command, environment) as first:
            printed, _ = first.communicate()
    if first.returncode:
        print(f"{name:42} failed", flush=True)
        return None
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return result


@contextlib.contextmanager
def _node(
    node: int, nodes: int, command: list[str], environment: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """Alone without torchrun; ended in the end."""
    launcher: list[str] = []
    if nodes > 1:
        environment = {**environment, "CUDA_VISIBLE_DEVICES": str(node)}
        launcher = ["-m", "torch.distributed.run", "--nnodes", str(nodes), "--node-rank", str(node)]
        launcher += ["--nproc-per-node", "1", "--master-addr", "127.0.0.1"]
        launcher += ["--master-port", "29511"]
    process = subprocess.Popen(
        [sys.executable, *launcher, *command], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def show_profile(profile: dict[str, Any]) -> None:
    parts = sorted(profile["milliseconds"].items(), key=lambda item: -item[1])
    whole = sum(time for _, time in parts)
    print("    " + ", ".join(f"{kind} {time:.0f} ms ({time / whole:.0%})" for kind, time in parts))
    for milliseconds, count, kernel in profile["top"]:
        print(f"    {milliseconds:8.2f} ms {count:5} x {kernel}")
    for milliseconds, count, kernel in profile["gaps"]:
        print(f"    {milliseconds:8.2f} ms {count:5} x idle before {kernel}")


if __name__ == "__main__":
    main()
