"""InternVL3.5's language model: norms on each head, heads wider than the hidden size's share."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hubkit_peft import PeftTrainer, setup
from hubkit_peft.options import Options
from testing.projects import BASE
from testing.tiny_processor import jobs, pictures, records

import hubkit
from hubkit.registry.plugins import plugins
from hubkit.sdk import SilentRun

LLM = {
    "architectures": ["Qwen3ForCausalLM"],
    **{"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "attention_bias": False},
    "rope_scaling": None,
}


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The quickstart's base with a random Qwen3 in the place of its language model."""
    import torch
    from safetensors.torch import save_file

    place = tmp_path_factory.mktemp("qwen3")
    base = place / "base"
    shutil.copytree(BASE, base, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    config = json.loads((base / "config.json").read_text("utf-8"))
    config |= {"torch_dtype": "float32", "llm_config": {**config["llm_config"], **LLM}}
    (base / "config.json").write_text(json.dumps(config), "utf-8")
    dice = torch.Generator().manual_seed(3)
    layout = plugins().get("family", "internvl").layout(config)
    tensors = {name: torch.randn(shape, generator=dice) * 0.1 for name, shape in layout.items()}
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    return jobs(base, place / "jobs", records(), pictures(place / "images"))[0]


def test_fast_and_plain_learn_the_same(training: Any, tmp_path: Path) -> None:
    losses = {}
    for name in ("auto", "plain"):
        places = {"output": tmp_path / name, "scratch": tmp_path / f"{name}-scratch"}
        for folder in places.values():
            folder.mkdir()
        options = {**training.options, "steps": 3, "implementation": name, "lora": ["llm", "vit"]}
        job = replace(training, options=options, **places)
        done = PeftTrainer().train(job, SilentRun())
        lines = (job.output / done.metrics).read_text("utf-8").splitlines()
        losses[name] = [json.loads(line)["loss"] for line in lines]
    assert losses["auto"] == pytest.approx(losses["plain"], rel=1e-4)
    made, *_ = setup.prepare(training, Options(**training.options), SilentRun())
    assert type(made.program).__name__ == "Fast"
    merged = tmp_path / "merged"
    report = hubkit.merge(training.base, tmp_path / "auto" / done.adapter, merged)
    assert report.merged > 14 and hubkit.check(merged) == ()
