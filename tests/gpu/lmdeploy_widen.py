"""Makes OUT, the tiny model FOLDER with attention heads of 64 dimensions, the least that TurboMind
takes.

    python tests/gpu/lmdeploy_widen.py FOLDER OUT

The same function of a picture of twice the side: the residual streams are repeated (their norms
stay as they were), heads are filled with zeros and their queries scaled, and each pixel of a patch
becomes four of a quarter of the weight. So a trained model stays one that answers rightly. Exact
but for the rounding of scaled weights to bfloat16.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

HEAD, LLM_COPIES, VIT_COPIES, VIT_HEADS, SIDE = 64, 2, 4, 6, 2
Places = list[int]
"""For each new row or column the old one it takes; -1 is zeros."""


def take(tensor: Any, dimension: int, places: Sequence[int]) -> Any:
    index = torch.tensor([max(place, 0) for place in places])
    shape = [1] * tensor.dim()
    shape[dimension] = len(places)
    return tensor.index_select(dimension, index) * torch.tensor(
        [float(place >= 0) for place in places]
    ).view(shape)


def repeated(size: int, copies: int) -> Places:
    return list(range(size)) * copies


def once(size: int, copies: int) -> Places:
    """Reads the first copy of a repeated vector."""
    return list(range(size)) + [-1] * (size * (copies - 1))


def heads(count: int, total: int, size: int, rotary: bool) -> Places:
    """Old heads of `size` in new ones of HEAD. Rotary pairs (i, i + size/2) go where their
    frequency is: (ki, ki + HEAD/2)."""
    stride, half = HEAD // size, size // 2
    spread = {stride * i: i for i in range(half)} | {
        stride * i + HEAD // 2: i + half for i in range(half)
    }
    inside = (
        [spread.get(place, -1) for place in range(HEAD)]
        if rotary
        else [*range(size), *([-1] * (HEAD - size))]
    )
    return [
        head * size + place if head < count and place >= 0 else -1
        for head in range(total)
        for place in inside
    ]


def vision(name: str, tensor: Any, config: dict[str, Any]) -> Any:
    width, count = config["hidden_size"], config["num_attention_heads"]
    wide, first, size = repeated(width, VIT_COPIES), once(width, VIT_COPIES), width // count
    within = heads(count, VIT_HEADS, size, rotary=False)
    if ".attn.qkv." in name:
        query, key, value = (take(part, 0, within) for part in tensor.split(width))
        tensor = torch.cat([query * math.sqrt(HEAD / size), key, value])
        return take(tensor, 1, first) if name.endswith("weight") else tensor
    if name.endswith("patch_embedding.weight"):
        return take(tensor.repeat_interleave(SIDE, 2).repeat_interleave(SIDE, 3) / SIDE**2, 0, wide)
    if name.endswith("attn.proj.weight"):
        return take(take(tensor, 0, wide), 1, within)
    if ".mlp.fc1." in name:
        return take(tensor, 1, first) if name.endswith("weight") else tensor
    return take(tensor, 0 if name.endswith("mlp.fc2.weight") else tensor.dim() - 1, wide)


def language(name: str, tensor: Any, config: dict[str, Any]) -> Any:
    width, count, kv = (
        config[key] for key in ("hidden_size", "num_attention_heads", "num_key_value_heads")
    )
    wide, first, size, group = (
        repeated(width, LLM_COPIES),
        once(width, LLM_COPIES),
        width // count,
        count // kv,
    )
    if name.endswith("wqkv.weight"):
        slots = tensor.view(kv, group + 2, size, width)
        rotary, plain = heads(1, 1, size, rotary=True), heads(1, 1, size, rotary=False)
        parts = [
            take(slots[:, :group] * math.sqrt(HEAD / size), 2, rotary),
            take(slots[:, group : group + 1], 2, rotary),
        ]
        whole = torch.cat([*parts, take(slots[:, group + 1 :], 2, plain)], 1)
        return take(whole.reshape(-1, width), 1, first)
    if name.endswith("wo.weight"):
        return take(take(tensor, 0, wide), 1, heads(count, count, size, rotary=False))
    if name.endswith(("w1.weight", "w3.weight", "output.weight")):
        return take(tensor, 1, first)
    return take(tensor, 1 if name.endswith("tok_embeddings.weight") else 0, wide)


def projector(name: str, tensor: Any, vit: int, llm: int) -> Any:
    blocks, wide = range(4), repeated(llm, LLM_COPIES)
    if name.startswith("mlp1.0."):
        return take(
            tensor,
            0,
            [block * vit + place for block in blocks for place in repeated(vit, VIT_COPIES)],
        )
    tensor = take(tensor, 0, wide)
    if name == "mlp1.1.weight":
        places = [
            block * vit + place if place >= 0 else -1
            for block in blocks
            for place in once(vit, VIT_COPIES)
        ]
        return take(tensor, 1, places)
    return take(tensor, 1, once(llm, LLM_COPIES)) if name == "mlp1.3.weight" else tensor


def widen(folder: Path, out: Path) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    vit, llm = config["vision_config"], config["llm_config"]
    rules: dict[str, Callable[[str, Any], Any]] = {
        "vision_model.": lambda name, tensor: vision(name, tensor, vit),
        "mlp1.": lambda name, tensor: projector(
            name, tensor, vit["hidden_size"], llm["hidden_size"]
        ),
        "language_model.": lambda name, tensor: language(name, tensor, llm),
    }
    out.mkdir(parents=True)
    wide = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        rule = next(rule for prefix, rule in rules.items() if name.startswith(prefix))
        wide[name] = rule(name, tensor.float()).to(tensor.dtype).contiguous()
    save_file(wide, out / "model.safetensors", metadata={"format": "pt"})
    llm["hidden_size"] *= LLM_COPIES
    vit.update(
        hidden_size=vit["hidden_size"] * VIT_COPIES,
        num_attention_heads=VIT_HEADS,
        image_size=vit["image_size"] * SIDE,
        patch_size=vit["patch_size"] * SIDE,
    )
    config["force_image_size"] *= SIDE
    for path in folder.iterdir():
        if path.suffix in (".json", ".py", ".jinja", ".model", ".md"):
            shutil.copyfile(path, out / path.name)
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    widen(Path(sys.argv[1]), Path(sys.argv[2]))
