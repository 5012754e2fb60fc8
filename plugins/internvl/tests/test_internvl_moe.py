"""InternVL3.5's mixtures of experts (Qwen3-MoE, GPT-OSS), in both layouts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hubkit_internvl import InternVL
from testing.live_adapter import check_experts_merge, loaded
from testing.projects import BASE

import hubkit
from hubkit.errors import WeightsError
from hubkit.weights.merge import merge
from hubkit.weights.model import open_model

EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
_ALIKE = {
    **{"hidden_size": 48, "num_hidden_layers": 2, "head_dim": 16, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "num_experts_per_tok": 2, "rope_scaling": None},
}
LLMS: Mapping[str, Mapping[str, Any]] = {
    "qwen3_moe": {
        **{"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", **_ALIKE},
        **{"num_hidden_layers": 3, "mlp_only_layers": [1], "intermediate_size": 64},
        **{"num_experts": 4, "moe_intermediate_size": 32, "norm_topk_prob": True},
    },
    "gpt_oss": {
        **{"architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", **_ALIKE},
        **{"intermediate_size": 48, "num_local_experts": 4, "attention_bias": True},
        **{"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]},
    },
}


@pytest.fixture(scope="module", params=LLMS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `official` and `hf`: the quickstart's base with a random language model of
    the kind."""
    import torch
    from safetensors.torch import save_file

    place = tmp_path_factory.mktemp(request.param)
    base = place / "official"
    shutil.copytree(BASE, base, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    config = json.loads((base / "config.json").read_text("utf-8"))
    llm = {**config["llm_config"], **LLMS[request.param]}
    config |= {"torch_dtype": "float32", "llm_config": llm}
    (base / "config.json").write_text(json.dumps(config), "utf-8")
    dice = torch.Generator().manual_seed(3)
    layout = InternVL().layout(config)
    tensors = {name: torch.randn(shape, generator=dice) * 0.1 for name, shape in layout.items()}
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    hubkit.convert(base, place / "hf", to="hf")
    return place


def test_both_layouts_are_sound_and_transformers_takes_all(made: Path) -> None:
    official, own = open_model(made / "official"), open_model(made / "hf")
    assert (official.family.name, own.family.name) == ("internvl", "internvl_hf")
    assert hubkit.check(made / "official") == hubkit.check(made / "hf") == ()
    held = {name: tuple(one.shape) for name, one in loaded(made / "hf").named_parameters()}
    experts: Any = own.family
    for one in experts.experts(own.config):
        count, out, wide = one.shape
        assert held[one.name] == ((count, wide, out) if one.held_turned else one.shape)
    described = official.family.describe(official.config)
    assert described.description.startswith("InternVL3.5 (")
    assert described.parameters == own.family.describe(own.config).parameters


@pytest.mark.parametrize("layout", ["official", "hf"])
@pytest.mark.parametrize("targets", ["attention", "experts"])
def test_an_adapter_merges_into_either_layout(
    made: Path, tmp_path: Path, layout: str, targets: str
) -> None:
    settings: dict[str, Any] = {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]}
    if targets == "experts":
        settings |= {"target_parameters": EXPERTS}
    check_experts_merge(open_model(made / layout), made / "hf", tmp_path, **settings)


def _per_expert(folder: Path, inner: int) -> Path:
    """As transformers 4 calls experts, where each is a module of its own."""
    import torch
    from safetensors.torch import save_file

    draw, at = torch.Generator().manual_seed(5), "base_model.model.model.language_model.layers.0."
    module = f"{at}mlp.experts.2.up_proj"
    folder.mkdir()
    settings = {"peft_type": "LORA", "r": 2, "lora_alpha": 6}
    (folder / "adapter_config.json").write_text(json.dumps(settings), "utf-8")
    tensors = {
        f"{module}.lora_A.weight": torch.randn(2, 48, generator=draw),
        f"{module}.lora_B.weight": torch.randn(inner, 2, generator=draw),
    }
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    return folder


@pytest.mark.parametrize("layout", ["official", "hf"])
def test_an_adapter_that_names_each_expert(made: Path, tmp_path: Path, layout: str) -> None:
    from safetensors.torch import load_file

    adapter, base = _per_expert(tmp_path / "adapter", 32), open_model(made / layout)
    if "gpt_oss" in made.name:
        with pytest.raises(WeightsError, match=r"experts\.2\.up_proj\.lora_B.* is not used"):
            merge(base, adapter, tmp_path / "out")
        return
    assert merge(base, adapter, tmp_path / "out").merged == 1
    before, after = (
        load_file(one / "model.safetensors") for one in (base.folder, tmp_path / "out")
    )
    a, b = sorted(load_file(adapter / "adapter_model.safetensors").items())
    changed = [key for key, tensor in after.items() if not tensor.equal(before[key])]
    assert len(changed) == 1 and changed[0].endswith("layers.0.mlp.experts.2.up_proj.weight")
    change = after[changed[0]] - before[changed[0]]
    assert (change - 3 * (b[1] @ a[1])).abs().max() < 1e-5


def test_training_through_the_modules(made: Path, tmp_path: Path) -> None:
    """One step with LoRAs on attention and experts; the adapter merges into a sound folder."""
    from hubkit_peft import PeftTrainer, setup
    from hubkit_peft.options import Options
    from testing.tiny_processor import jobs, pictures, records

    from hubkit.sdk import SilentRun

    images = pictures(tmp_path / "images")
    training, _ = jobs(made / "official", tmp_path / "jobs", records(), images)
    training.options["experts"] = True
    program = setup.prepare(training, Options(**training.options), SilentRun())[0].program
    assert type(program).__name__ == "Plain"
    done = PeftTrainer().train(training, SilentRun())
    merged = tmp_path / "merged"
    report = hubkit.merge(made / "official", training.output / done.adapter, merged)
    assert report.merged >= 12 and hubkit.check(merged) == ()


def test_experts_in_four_bits_are_refused(made: Path, tmp_path: Path) -> None:
    """As openai/gpt-oss-20b has them (MXFP4)."""
    import torch
    from safetensors.torch import load_file, save_file

    if "gpt_oss" not in made.name:
        return
    base = tmp_path / "base"
    shutil.copytree(made / "official", base)
    tensors = load_file(base / "model.safetensors")
    name = "language_model.model.layers.0.mlp.experts.gate_up_proj"
    count, _, out = tensors.pop(name).shape
    tensors[f"{name}_blocks"] = torch.zeros(count, out, 2, 16, dtype=torch.uint8)
    tensors[f"{name}_scales"] = torch.zeros(count, out, 2, dtype=torch.uint8)
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    config = json.loads((base / "config.json").read_text("utf-8"))
    config["llm_config"]["quantization_config"] = {"quant_method": "mxfp4"}
    (base / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises(WeightsError, match=r"quantised \(mxfp4\), '.*_blocks' for one"):
        hubkit.merge(base, _per_expert(tmp_path / "adapter", 32), tmp_path / "out")
