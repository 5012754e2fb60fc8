"""Qwen3-VL-MoE: its tables, adapters of its experts, and a step of training."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hubkit_qwen_vl import Qwen3VL
from testing.live_adapter import check_experts_merge, loaded
from testing.processor_checks import check_release, check_trained_and_asked
from testing.tiny_processor import QWEN3_MOE, jobs, make, records

import hubkit
from hubkit.errors import UsageError, WeightsError
from hubkit.weights.export import write_adapter
from hubkit.weights.merge import check_fit, merge
from hubkit.weights.model import open_model

EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
AT = "model.language_model.layers.0.mlp.experts"
HIDDEN, INNER, COUNT = 64, 48, 4


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(QWEN3_MOE, tmp_path_factory.mktemp("moe") / "base")


def test_names_and_shapes_are_those_of_the_class(base: Path) -> None:
    """Loaded with nothing missing; in memory the experts are turned."""
    model, family = open_model(base), Qwen3VL()
    assert model.family.name == "qwen3_vl" and hubkit.check(base) == ()
    held = {name: tuple(one.shape) for name, one in loaded(base).named_parameters()}
    experts = family.experts(model.config)
    assert {one.name: one.shape for one in experts} == {
        name: shape for name, shape in held.items() if ".experts." in name
    }
    assert [one.name.rpartition(".")[2] for one in experts] == ["gate_up_proj", "down_proj"] * 2
    layout = family.layout(model.config)
    assert layout[f"{AT}.gate_up_proj"] == (COUNT, HIDDEN, 2 * INNER)
    assert {name for name in held if ".experts." not in name} <= layout.keys()


def test_some_layers_may_be_dense(base: Path) -> None:
    config = json.loads((base / "config.json").read_text("utf-8"))
    text = {**config["text_config"], "mlp_only_layers": [0]}
    text["num_local_experts"] = text.pop("num_experts")
    layout = Qwen3VL().layout({**config, "text_config": text})
    assert f"{AT}.down_proj" not in layout and f"{AT[:-8]}.up_proj.weight" in layout
    with pytest.raises(UsageError, match="mlp_only_layers is not a list"):
        Qwen3VL().layout({**config, "text_config": {**text, "mlp_only_layers": 3}})


# hidden, layers, heads, experts' width, parameters: those of the published configurations, 31 and
# 236 billion as their model cards say; the index files were not at hand
PUBLISHED = {
    "30B-A3B": (2048, 48, 32, 768, 31_070_754_032),
    "235B-A22B": (4096, 94, 64, 1536, 235_670_022_896),
}


@pytest.mark.parametrize("size", PUBLISHED)
def test_published_sizes(size: str) -> None:
    hidden, layers, heads, inner, parameters = PUBLISHED[size]
    text = {
        **{"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads},
        **{"num_key_value_heads": 4, "head_dim": 128, "num_experts": 128},
        **{"moe_intermediate_size": inner, "vocab_size": 151936},
    }
    vision = {"out_hidden_size": hidden, "deepstack_visual_indexes": [8, 16, 24]}
    config = {
        "architectures": QWEN3_MOE.config["architectures"],
        **{"text_config": text, "vision_config": vision, "tie_word_embeddings": False},
    }
    assert Qwen3VL().describe(config).parameters == parameters
    assert Qwen3VL().layout(config)[f"{AT}.down_proj"] == (128, inner, hidden)


SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "attention": {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
    "experts": {"target_parameters": EXPERTS, "target_modules": []},
    "gate_up": {"target_parameters": EXPERTS[:1], "target_modules": ["o_proj"]},
    "down": {"target_parameters": ["down_proj"], "target_modules": ["o_proj"]},
    "ranks": {
        "target_parameters": [*EXPERTS, "mlp.gate.weight", "self_attn.q_proj.weight"],
        "target_modules": ["v_proj"],
        "rank_pattern": {r".*\.gate_up_proj": 4, "q_proj.weight": 3},
        "alpha_pattern": {r".*\.gate_up_proj": 16},
    },
}


@pytest.mark.parametrize("name", SETTINGS)
def test_it_merges_as_peft_does(base: Path, tmp_path: Path, name: str) -> None:
    check_experts_merge(open_model(base), base, tmp_path, **SETTINGS[name])


def _adapter(folder: Path, tensors: Mapping[str, tuple[int, ...]], **settings: Any) -> Path:
    import torch
    from safetensors.torch import save_file

    draw = torch.Generator().manual_seed(4)
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_parameters": EXPERTS}
    (folder / "adapter_config.json").write_text(json.dumps({**config, **settings}), "utf-8")
    made = {
        f"base_model.model.{AT}.{key}": torch.randn(shape, generator=draw)
        for key, shape in tensors.items()
    }
    save_file(made, folder / "adapter_model.safetensors", {"format": "pt"})
    return folder


INNERMOST, OUTERMOST = "base_layer.lora_{}.weight", "lora_{}.weight"


def _loras(gate_up: tuple[int, int], down: tuple[int, int], rank: int = 2) -> dict[str, Any]:
    """Of one layer, by what A and B are for."""
    return {
        INNERMOST.format("A"): (COUNT * rank, gate_up[0]),
        INNERMOST.format("B"): (gate_up[1], COUNT * rank),
        OUTERMOST.format("A"): (COUNT * rank, down[0]),
        OUTERMOST.format("B"): (down[1], COUNT * rank),
    }


STRAIGHT = (HIDDEN, 2 * INNER), (INNER, HIDDEN)


def test_what_older_peft_wrote_is_read_by_its_shapes(base: Path, tmp_path: Path) -> None:
    """peft 0.18 takes (expert, out, in) for (expert, in, out)."""
    import torch
    from safetensors.torch import load_file

    turned = [pair[::-1] for pair in STRAIGHT]
    adapter = _adapter(tmp_path / "adapter", _loras(*turned))
    merge(open_model(base), adapter, tmp_path / "out")
    before, after = (load_file(one / "model.safetensors") for one in (base, tmp_path / "out"))
    given = load_file(adapter / "adapter_model.safetensors")
    for ends, name in ((INNERMOST, "gate_up_proj"), (OUTERMOST, "down_proj")):
        a, b = (given[f"base_model.model.{AT}.{ends.format(part)}"] for part in "AB")
        a, b = a.view(COUNT, 2, -1), b.view(len(b), 2, COUNT)
        held = torch.einsum("ore,eri->eio", b, a) * 3
        change = after[f"{AT}.{name}"] - before[f"{AT}.{name}"]
        assert (change - held.mT).abs().max() < 1e-5


def test_experts_that_were_trained_whole(base: Path, tmp_path: Path) -> None:
    """As peft's modules_to_save stores them: as they are in memory."""
    from safetensors.torch import load_file

    shapes = {"gate_up_proj": (COUNT, 2 * INNER, HIDDEN), "down_proj": (COUNT, HIDDEN, INNER)}
    settings = {"target_parameters": None, "modules_to_save": ["experts"]}
    adapter = _adapter(tmp_path / "adapter", shapes, **settings)
    assert merge(open_model(base), adapter, tmp_path / "out").replaced == 2
    own, given = (
        load_file(tmp_path / "out" / "model.safetensors"),
        load_file(adapter / "adapter_model.safetensors"),
    )
    for name in shapes:
        assert own[f"{AT}.{name}"].equal(given[f"base_model.model.{AT}.{name}"].mT)


BAD: Mapping[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "unnamed": (
        _loras(*STRAIGHT),
        {"target_parameters": ["mlp.experts.down_proj"]},
        r"key '.*experts\.base_layer\.lora_A\.weight' is not used: target_parameters "
        r"\(mlp\.experts\.down_proj\) names no parameter",
    ),
    "unexplained": (
        {key: shape for key, shape in _loras(*STRAIGHT).items() if "base" not in key},
        {"target_parameters": None, "r": 8},
        r"key '.*experts\.lora_B\.weight' is not used: .* has no target_parameters",
    ),
    "shape": (
        _loras((HIDDEN, 90), STRAIGHT[1]),
        {},
        r"gate_up_proj' \(rank 2\) is for experts of \(90, 64\), the base's are \(96, 64\)",
    ),
    "rank": (_loras(*STRAIGHT, rank=3), {}, "has rank 3, its settings say 2"),
    "list": (_loras(*STRAIGHT), {"target_parameters": "all"}, "target_parameters is 'all'"),
    "whole": (
        {"down_proj": (COUNT, INNER, HIDDEN)},
        {"target_parameters": None, "modules_to_save": ["experts"]},
        r"experts\.down_proj' is \(4, 48, 64\), '.*' takes \(4, 64, 48\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_peft_does_not_explain_is_refused_by_name(
    base: Path, tmp_path: Path, name: str
) -> None:
    tensors, settings, message = BAD[name]
    adapter = _adapter(tmp_path / "adapter", tensors, **settings)
    with pytest.raises(WeightsError, match=message):
        merge(open_model(base), adapter, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(WeightsError, match=message):
        check_fit(open_model(base), adapter)


def test_square_experts_need_others_that_tell(tmp_path: Path) -> None:
    config = {**QWEN3_MOE.config["text_config"], "moe_intermediate_size": HIDDEN}
    kind = {**QWEN3_MOE.config, "text_config": config}
    square = make(type(QWEN3_MOE)(**{**vars(QWEN3_MOE), "config": kind}), tmp_path / "base")
    whole = _loras((HIDDEN, 2 * HIDDEN), (HIDDEN, HIDDEN))
    merge(open_model(square), _adapter(tmp_path / "both", whole), tmp_path / "out")
    alone = {key: shape for key, shape in whole.items() if "base" not in key}
    adapter = _adapter(tmp_path / "one", alone, target_parameters=EXPERTS[1:])
    with pytest.raises(WeightsError, match=r"square \(64 x 64\), and versions of peft") as refused:
        merge(open_model(square), adapter, tmp_path / "other")
    assert "peft 0.19 or newer" in refused.value.remedy


def test_of_an_adapter_of_experts(base: Path, tmp_path: Path) -> None:
    """XTuner's rounding knows none; published as it was trained, never renamed."""
    adapter, model = _adapter(tmp_path / "adapter", _loras(*STRAIGHT)), open_model(base)
    with pytest.raises(WeightsError, match="XTuner merges no adapter of experts"):
        merge(model, adapter, tmp_path / "out", rounding="xtuner")
    family: Any = model.family
    write_adapter(adapter, tmp_path / "again", family, base, "me/Qwen3-VL-Food")
    merge(model, tmp_path / "again", tmp_path / "out")
    with pytest.raises(WeightsError, match="have no other names than those of the training"):
        write_adapter(adapter, tmp_path / "n", family, base, "me/Qwen3-VL-Food", names="native")


def test_weights_that_transformers_saved_again_are_refused(base: Path, tmp_path: Path) -> None:
    """transformers 5 saves the experts as it holds them."""
    again = tmp_path / "again"
    loaded(base).save_pretrained(again)
    with pytest.raises(WeightsError, match="as it holds them in memory") as refused:
        hubkit.merge(again, _adapter(tmp_path / "adapter", _loras(*STRAIGHT)), tmp_path / "out")
    assert "the model's own repository" in refused.value.remedy


def test_training_and_asking_give_the_model_the_same(
    base: Path, images: Path, tmp_path: Path
) -> None:
    """With LoRAs on attention and experts."""
    training, asking = jobs(base, tmp_path / "jobs", records(), images)
    training.options["experts"] = True
    trained = check_trained_and_asked(training, asking, linears=12)
    settings = json.loads(
        (training.output / trained.adapter / "adapter_config.json").read_text("utf-8")
    )
    assert settings["target_parameters"] == sorted(
        f"model.language_model.layers.{layer}.{end}" for layer in (0, 1) for end in EXPERTS
    )


def test_a_model_without_experts_says_so(tiny: Path, images: Path, tmp_path: Path) -> None:
    from hubkit_peft import PeftTrainer
    from hubkit_peft.options import Options

    from hubkit.sdk import SilentRun

    training, _ = jobs(tiny, tmp_path / "jobs", records(), images)
    training.options["experts"] = True
    with pytest.raises(UsageError, match="experts is true, and llm has none"):
        PeftTrainer().train(training, SilentRun())
    with pytest.raises(ValueError, match="experts needs dropout: 0"):
        Options(experts=True, dropout=0.1)


@pytest.mark.integration
def test_a_whole_release(tmp_path: Path) -> None:
    check_release(QWEN3_MOE, tmp_path, "Qwen3-VL-MoE-Tiny-Colours", steps=220)
