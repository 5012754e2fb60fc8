"""A tiny InternVL3.5 in the official layout: the quickstart's vision transformer with a Qwen3. It
learns to describe pictures of two colours from hubkit's own trainer."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hubkit.sdk import IMAGE, Record, SilentRun, Turn
from testing.projects import BASE
from testing.tiny_processor import ASK, COLOURS, DESCRIBE, jobs, picture

LLM = {
    "architectures": ["Qwen3ForCausalLM"],
    **{"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "head_dim": 32},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "attention_bias": False},
    **{"model_type": "qwen3", "rope_scaling": None},
}


def make(out: Path, steps: int) -> Path:
    """The whole published folder of a model that was trained for `steps`."""
    from hubkit_peft import PeftTrainer

    from hubkit.weights.merge import merge
    from hubkit.weights.model import open_model

    place = out.with_name(f"{out.name}-made")
    raw = _untrained(place / "raw")
    lessons = list(_lessons(place / "images"))
    training, _ = jobs(raw, place / "jobs", lessons, place / "images")
    training.options.update(
        {"lora": [], "full": ["llm", "vit", "projector"], "steps": steps, "batch_size": 8},
        learning_rate=1.5e-3,
    )
    done = PeftTrainer().train(training, SilentRun())
    merge(open_model(raw), training.output / done.adapter, out)
    return out


def _untrained(base: Path) -> Path:
    import torch
    from safetensors.torch import load_file, save_file

    from hubkit.registry.plugins import plugins

    shutil.copytree(BASE, base, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    config = json.loads((base / "config.json").read_text("utf-8"))
    llm = {**config["llm_config"], **LLM}
    config |= {"torch_dtype": "float32", "template": "internvl2_5", "llm_config": llm}
    (base / "config.json").write_text(json.dumps(config), "utf-8")
    seen = load_file(BASE / "model.safetensors")
    dice = torch.Generator().manual_seed(3)

    def start(name: str, shape: tuple[int, ...]) -> Any:
        if name in seen and not name.startswith("language_model."):
            return seen[name].float()
        return torch.ones(shape) if len(shape) == 1 else torch.randn(shape, generator=dice) * 0.05

    layout = plugins().get("family", "internvl").layout(config)
    tensors = {name: start(name, shape) for name, shape in layout.items()}
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    return base


def _lessons(images: Path) -> Iterator[Record]:
    images.mkdir(parents=True)
    dice = random.Random(6)
    for number in range(192):
        left, right = dice.choice(sorted(COLOURS)), dice.choice(sorted(COLOURS))
        picture(dice, left, right).save(images / f"{number}.png")
        asked = f"{IMAGE}\n{dice.choice((ASK, DESCRIBE))}"
        answer = f"a picture in {left} and {right}"
        yield Record(str(number), (f"{number}.png",), (Turn(asked, answer),))
