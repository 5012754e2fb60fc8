"""Merging a LoRA into a model of InternVL2's true dimensions, beside `cp` of the same bytes.

    python benchmarks/merge.py                      # 2B
    python benchmarks/merge.py --size 8B --repeat 1
    python benchmarks/merge.py --peer               # and transformers + peft, which holds the whole
                                                    model in memory

The weights are synthetic. The jobs take turns, each in a process of its own, with the base's pages
in the cache and the output's written to the disk before the clock stops (`cp` is followed by `sync`
of its file). ONEDNN_MAX_CPU_ISA=AVX2 makes torch multiply as on a processor without bfloat16 units.
Peak memory is VmHWM: it counts the pages of mapped files too. Nothing is left behind.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LLM = {
    "tiny": {
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 16,
    },
    "2B": {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
    },
    "8B": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
    "26B": {
        "hidden_size": 6144,
        "intermediate_size": 16384,
        "num_hidden_layers": 4,
        "num_attention_heads": 48,
    },
    "3.5-2B": {
        "architectures": ["Qwen3ForCausalLM"],
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "head_dim": 128,
        "vocab_size": 151936,
        "rope_scaling": None,
    },
}
"""Tiny is to see that it works. Of 26B four layers of 48 are taken: what is measured there is
memory. 3.5-2B is InternVL3.5-2B, with Qwen3-1.7B's decoder and a head of its own."""
TINY_VIT = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
SHARD = 5 * 10**9
RANK = 128


def config(size: str) -> dict[str, Any]:
    return {
        "architectures": ["InternVLChatModel"],
        "model_type": "internvl_chat",
        "ps_version": "v2",
        "select_layer": -1,
        "downsample_ratio": 0.5,
        "force_image_size": 448,
        "dynamic_image_size": True,
        "max_dynamic_patch": 12,
        "use_thumbnail": True,
        "template": "internlm2-chat",
        "torch_dtype": "bfloat16",
        "llm_config": {
            "architectures": ["InternLM2ForCausalLM"],
            "num_key_value_heads": 8,
            "vocab_size": 92553,
            "bias": False,
            "rms_norm_eps": 1e-5,
            "rope_theta": 1000000,
            "rope_scaling": {"type": "dynamic", "factor": 2.0},
            "max_position_embeddings": 32768,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "pad_token_id": 2,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            **LLM[size],
        },
        "vision_config": {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_attention_heads": 16,
            "num_hidden_layers": 24,
            "image_size": 448,
            "patch_size": 14,
            "num_channels": 3,
            "norm_type": "layer_norm",
            "qkv_bias": True,
            "qk_normalization": False,
            **(TINY_VIT if size == "tiny" else {}),
        },
    }


def make(folder: Path, size: str) -> None:
    """`folder/base` and `folder/adapter`: rank 128 in float32 on every linear layer of the LLM and
    its head, mlp1 whole."""
    from hubkit.registry.plugins import plugins

    family, settings = plugins().get("family", "internvl"), config(size)
    base, adapter = folder / "base", folder / "adapter"
    base.mkdir(parents=True)
    adapter.mkdir()
    layout = {name: ("BF16", tuple(shape)) for name, shape in family.layout(settings).items()}
    _write_model(base, layout)
    ids = [{"id": 92546, "content": "<IMG_CONTEXT>", "special": True}]
    for name, data in {
        "config.json": settings,
        "generation_config.json": {},
        "special_tokens_map.json": {},
        "tokenizer_config.json": {},
        "tokenizer.json": {"model": {}, "added_tokens": ids},
    }.items():
        (base / name).write_text(json.dumps(data))
    native, group = family.native(settings), family.native(settings).groups["llm"]
    tensors = {}
    for entry in native.tensors:
        shape = layout[entry.source][1]
        rows = sum(stop - start for start, stop in entry.rows) or shape[0]
        module = entry.name.removesuffix(".weight")
        if entry.source.startswith("mlp1."):
            tensors[f"base_model.model.{entry.name}"] = ("F32", shape)
        elif (
            module.startswith(group.prefix) and module.rsplit(".", 1)[-1] in group.linears
        ) or module == "lm_head":
            tensors[f"base_model.model.{module}.lora_A.weight"] = ("F32", (RANK, shape[1]))
            tensors[f"base_model.model.{module}.lora_B.weight"] = ("F32", (rows, RANK))
    _write_file(adapter / "adapter_model.safetensors", tensors)
    pattern = rf"{re.escape(group.prefix)}\..*\.({'|'.join(group.linears)})|lm_head"
    peft = {"peft_type": "LORA", "r": RANK, "lora_alpha": 256, "target_modules": pattern}
    peft |= {"modules_to_save": ["multi_modal_projector"]}
    (adapter / "adapter_config.json").write_text(json.dumps(peft))


Tensors = dict[str, tuple[str, tuple[int, ...]]]


def _write_model(base: Path, layout: Tensors) -> None:
    from hubkit.weights.header import build_header

    shards: list[Tensors] = [{}]
    for name, (dtype, shape) in layout.items():
        if (
            build_header([(n, *t) for n, t in {**shards[-1], name: (dtype, shape)}.items()], "", {})
            .tensors[-1]
            .end
            > SHARD
        ):
            shards.append({})
        shards[-1][name] = (dtype, shape)
    names = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    if len(shards) == 1:
        names = ["model.safetensors"]
    else:
        total = sum(
            _write_file(base / name, shard) for name, shard in zip(names, shards, strict=True)
        )
        index = {
            "metadata": {"total_size": total},
            "weight_map": {t: n for n, s in zip(names, shards, strict=True) for t in s},
        }
        (base / "model.safetensors.index.json").write_text(json.dumps(index))
        return
    _write_file(base / names[0], shards[0])


def _write_file(path: Path, tensors: Tensors) -> int:
    """Fills the file with the same 32 MiB of small normal numbers again and again."""
    import torch

    from hubkit.weights.header import build_header

    header = build_header(
        [(name, dtype, shape) for name, (dtype, shape) in tensors.items()],
        path.name,
        {"format": "pt"},
    )
    dtype = (
        torch.bfloat16 if {dtype for dtype, _ in tensors.values()} == {"BF16"} else torch.float32
    )
    noise = (
        torch.randn(2**25 // dtype.itemsize, generator=torch.Generator().manual_seed(0)) * 0.02
    ).to(dtype)
    tile = memoryview(noise.view(torch.uint8).numpy())
    left = header.tensors[-1].end - len(header.raw)
    with path.open("wb") as file:
        file.write(header.raw)
        while left:
            left -= file.write(tile[:left])
    return header.tensors[-1].end - len(header.raw)


def run_merge(folder: Path, rounding: Any, jobs: int) -> dict[str, Any]:
    from hubkit.registry.plugins import plugins
    from hubkit.weights.merge import merge
    from hubkit.weights.model import Model

    start = time.perf_counter()
    base = Model.of(folder / "base", plugins().get("family", "internvl"))
    merge(base, folder / "adapter", folder / "out", rounding=rounding, jobs=jobs)
    return {"wall": time.perf_counter() - start}


def run_peer(folder: Path) -> dict[str, Any]:
    """The same result in the native layout, by transformers and peft; hubkit's conversion before it
    is not counted."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    start = time.perf_counter()
    model = AutoModelForImageTextToText.from_pretrained(folder / "native", dtype=torch.bfloat16)
    merged = PeftModel.from_pretrained(model, folder / "adapter").merge_and_unload()
    merged.save_pretrained(folder / "out")
    os.sync()
    return {"wall": time.perf_counter() - start}


def run_hash(folder: Path) -> dict[str, Any]:
    import hashlib

    start = time.perf_counter()
    for path in sorted((folder / "base").glob("*.safetensors")):
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")
    return {"wall": time.perf_counter() - start}


def run_cp(folder: Path) -> dict[str, Any]:
    out = folder / "out"
    out.mkdir()
    files = sorted((folder / "base").glob("*.safetensors"))
    start = time.perf_counter()
    subprocess.run(["cp", *files, out], check=True)
    copied = time.perf_counter() - start
    subprocess.run(["sync", *out.iterdir()], check=True)
    return {"wall": time.perf_counter() - start, "copied": copied}


def child(folder: Path, job: str, jobs: int) -> dict[str, Any]:
    kinds: dict[str, Callable[[], dict[str, Any]]] = {
        "cp": lambda: run_cp(folder),
        "sha256": lambda: run_hash(folder),
        "merge": lambda: run_merge(folder, "once", jobs),
        "merge --rounding xtuner": lambda: run_merge(folder, "xtuner", jobs),
        "transformers + peft": lambda: run_peer(folder),
    }
    before = os.times()
    result = kinds[job]()
    after = os.times()
    status = Path("/proc/self/status").read_text()
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
    used = {}
    for kind in ("user", "system"):
        used[kind] = sum(
            getattr(after, of + kind) - getattr(before, of + kind) for of in ("", "children_")
        )
    return {**result, **used, "peak": peak * 1024}


def measure(folder: Path, job: str, jobs: int) -> dict[str, float]:
    for path in [
        *(folder / "base").glob("*.safetensors"),
        folder / "adapter/adapter_model.safetensors",
    ]:
        subprocess.run(["cat", path], stdout=subprocess.DEVNULL, check=True)
    command = [
        sys.executable,
        __file__,
        "--folder",
        str(folder),
        "--child",
        job,
        "--jobs",
        str(jobs),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    shutil.rmtree(folder / "out", ignore_errors=True)
    os.sync()
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=LLM, default="2B")
    parser.add_argument(
        "--folder",
        type=Path,
        help="where to work; taken again when it holds a base already, and then kept",
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(child(given.folder, given.child, given.jobs)))
        return
    folder = given.folder or Path(tempfile.mkdtemp(prefix="hubkit-bench-"))
    try:
        if not (folder / "base").exists():
            make(folder, given.size)
        report(folder, given)
    finally:
        if given.folder is None:
            shutil.rmtree(folder)


def report(folder: Path, given: argparse.Namespace) -> None:
    jobs = ["cp", "sha256", "merge", "merge --rounding xtuner"]
    if given.peer:
        from hubkit.sdk import SilentRun
        from hubkit.weights.convert import native_view
        from hubkit.weights.model import open_model

        if not (folder / "native").exists():
            native_view(open_model(folder / "base"), folder / "native", SilentRun())
        jobs.append("transformers + peft")
    jobs = given.only or jobs
    size = sum(path.stat().st_size for path in (folder / "base").glob("*.safetensors"))
    print(
        f"InternVL2-{given.size} shapes, {size / 1e9:.2f} GB, rank {RANK}, {os.cpu_count()} "
        f"processors; best of {given.repeat}"
    )
    print(f"{'':24}{'wall s':>8}{'x cp':>7}{'user s':>8}{'system s':>10}{'peak MiB':>10}")
    rounds = [{job: measure(folder, job, given.jobs) for job in jobs} for _ in range(given.repeat)]
    floor = None
    for job in jobs:
        best = min((found[job] for found in rounds), key=lambda found: found["wall"])
        floor = best["wall"] if job == "cp" else floor
        ratio = f"{best['wall'] / floor:7.2f}" if floor else " " * 7
        note = f"  ({best['copied']:.2f} s before the sync)" if "copied" in best else ""
        times = f"{best['wall']:8.2f}{ratio}{best['user']:8.2f}{best['system']:10.2f}"
        print(f"{job:24}{times}{best['peak'] / 2**20:10.0f}{note}")


if __name__ == "__main__":
    main()
