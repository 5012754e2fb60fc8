"""Adapters on the two sides of a tie, against PEFT's live model."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from hubkit_qwen_vl import QwenVL

from hubkit.sdk import WeightsError
from hubkit.weights.checkpoint import Checkpoint
from hubkit.weights.merge import MergeReport, merge
from hubkit.weights.model import Model

CONFIG: dict[str, Any] = {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "model_type": "qwen2_5_vl",
    "tie_word_embeddings": True,
    **{"image_token_id": 50, "video_token_id": 51},
    **{"vision_start_token_id": 52, "vision_end_token_id": 53},
    **{"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 60},
    **{"bos_token_id": 1, "eos_token_id": 2, "rope_theta": 10000.0},
    "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
    "vision_config": {
        **{"depth": 1, "hidden_size": 16, "out_hidden_size": 32, "intermediate_size": 24},
        **{"num_heads": 2, "patch_size": 14, "fullatt_block_indexes": [0]},
        "spatial_merge_size": 2,
    },
}
LINEAR = r".*language_model.*q_proj"
TABLE, HEAD = "model.embed_tokens.weight", "lm_head.weight"
IDS = [[1, 7, 8, 9, 30, 31]]

TIED = {
    "saved table, tied": {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
    "LoRA on the table, tied": {
        "target_modules": ["embed_tokens", "q_proj"],
        "ensure_weight_tying": True,
    },
    "both saved, tied": {
        "modules_to_save": ["embed_tokens", "lm_head"],
        "ensure_weight_tying": True,
    },
    "both saved and alike": {"modules_to_save": ["embed_tokens", "lm_head"]},
}
UNTIED = {
    "LoRA on the head": {"target_modules": ["q_proj", "lm_head"]},
    "LoRA on the table": {"target_modules": ["embed_tokens", "q_proj"]},
    "LoRA on both": {"target_modules": ["embed_tokens", "lm_head", "q_proj"]},
    "saved table": {"modules_to_save": ["embed_tokens"]},
    "saved head": {"modules_to_save": ["lm_head"]},
    "saved table, LoRA on the head": {
        "modules_to_save": ["embed_tokens"],
        "target_modules": ["lm_head", "q_proj"],
    },
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from testing.live_adapter import _publish

    folder = tmp_path_factory.mktemp("tied") / "base"
    _model().save_pretrained(folder)
    _publish(folder, QwenVL().layout(CONFIG), CONFIG)
    return folder


def _model() -> Any:
    import torch
    import transformers

    torch.manual_seed(4)
    kind = transformers.Qwen2_5_VLForConditionalGeneration
    return kind(kind.config_class(**CONFIG)).eval()


def _logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor(IDS)).logits


def _live(folder: Path, seed: int = 8, **settings: Any) -> Any:
    """PEFT's live model, after what it trains was changed at random; its adapter is in
    `folder`."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    settings = {"target_modules": LINEAR, "init_lora_weights": False, **settings}
    live = get_peft_model(_model(), LoraConfig(r=2, lora_alpha=4, **settings))
    with torch.no_grad():
        for name, parameter in live.named_parameters():
            if parameter.requires_grad and "lora_" not in name:
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=_draw()))
    live.save_pretrained(folder)
    return live


def _draw() -> Any:
    import torch

    return torch.Generator().manual_seed(3)


def _check(live: Any, base: Path, adapter: Path, out: Path, tied: bool) -> MergeReport:
    import torch

    report = merge(Model.of(base, QwenVL()), adapter, out)
    config = json.loads((out / "config.json").read_text())
    with Checkpoint.open(out) as written:
        assert (HEAD in written.tensors) is not tied
        assert written.tensors.keys() == QwenVL().layout(config).keys()
        assert report.merged + report.replaced + report.copied == len(written.tensors)
    assert config["tie_word_embeddings"] is tied
    kind = type(_model())
    loaded, info = kind.from_pretrained(out, dtype=torch.float32, output_loading_info=True)
    assert not any(info.values()), info
    wanted = _logits(live)
    assert (wanted - _logits(_model())).abs().max() > 1e-3
    assert (wanted - _logits(loaded)).abs().max() < 1e-4
    return report


@pytest.mark.parametrize("name", [*TIED, *UNTIED])
def test_either_side_of_the_tie(base: Path, tmp_path: Path, name: str) -> None:
    live = _live(tmp_path / "adapter", **(TIED | UNTIED)[name])
    _check(live, base, tmp_path / "adapter", tmp_path / "out", tied=name in TIED)


@pytest.mark.parametrize("seed", range(4))
def test_a_whole_state_with_what_was_trained_in_place(
    base: Path, tmp_path: Path, seed: int
) -> None:
    """As zero_to_fp32.py writes it, or the scripts that keep other weights in a file of their own;
    a table that was trained in place is the head as well, under whichever name it is kept."""
    import torch

    adapter, dice = tmp_path / "adapter", random.Random(seed)
    live = _live(adapter)
    with torch.no_grad():
        live.get_input_embeddings().weight.add_(0.05 * torch.randn(60, 32, generator=_draw()))
    state = {name: tensor.clone() for name, tensor in live.state_dict().items()}
    names = [
        "base_model.model.model.language_model.embed_tokens.weight",
        f"base_model.model.{HEAD}",
    ]
    if seed < 2:
        kept = names if seed else [dice.choice(names)]
        torch.save({n: state[n] for n in kept}, adapter / "non_lora_state_dict.bin")
    else:
        (adapter / "adapter_model.safetensors").unlink()
        stem = dice.choice(["adapter_model", "pytorch_model"])
        torch.save(state, adapter / f"{stem}.bin")
    _check(live, base, adapter, tmp_path / "out", tied=True)


def test_the_index_knows_of_the_head(base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    sharded = tmp_path / "sharded"
    shutil.copytree(base, sharded)
    tensors = load_file(sharded / "model.safetensors")
    (sharded / "model.safetensors").unlink()
    files: dict[str, dict[str, Any]] = {"a.safetensors": {}, "b.safetensors": {}}
    for number, (name, tensor) in enumerate(tensors.items()):
        files[f"{'ab'[number % 2]}.safetensors"][name] = tensor
    for name, part in files.items():
        save_file(part, sharded / name)
    weight_map = {tensor: name for name, part in files.items() for tensor in part}
    size = sum(t.nbytes for t in tensors.values())
    (sharded / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": size, "kept": 1}, "weight_map": weight_map})
    )
    live = _live(tmp_path / "adapter", target_modules=["q_proj", "lm_head"])
    _check(live, sharded, tmp_path / "adapter", tmp_path / "out", tied=False)
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert index["weight_map"][HEAD] == index["weight_map"][TABLE]
    assert index["metadata"] == {"total_size": size + tensors[TABLE].nbytes, "kept": 1}


def test_two_adapters_of_which_one_unties(base: Path, tmp_path: Path) -> None:
    """The first changes both sides alike, the second the head alone."""
    from safetensors.torch import load_file

    tied = {"target_modules": ["embed_tokens"], "ensure_weight_tying": True}
    for name, settings in (("one", tied), ("two", {"target_modules": ["lm_head"]})):
        live = _live(tmp_path / name, **settings)
        live.save_pretrained(tmp_path / name, save_embedding_layers=False)
    job = [(tmp_path / "one", 0.5), (tmp_path / "two", 1.0)]
    merge(Model.of(base, QwenVL()), job, tmp_path / "out")
    loras = [load_file(tmp_path / name / "adapter_model.safetensors") for name in ("one", "two")]
    at = "base_model.model.model.language_model.embed_tokens.lora_embedding_"
    both = 0.5 * 2 * (loras[0][f"{at}B"] @ loras[0][f"{at}A"]).T
    down, up = (loras[1][f"base_model.model.lm_head.lora_{part}.weight"] for part in "AB")
    table = load_file(base / "model.safetensors")[TABLE]
    out = load_file(tmp_path / "out/model.safetensors")
    assert (out[TABLE] - table - both).abs().max() < 1e-5
    assert (out[HEAD] - table - both - 2 * up @ down).abs().max() < 1e-5


def test_a_base_resized_as_the_training_did_takes_the_adapter(base: Path, tmp_path: Path) -> None:
    """The remedy that the refusal gives, followed."""
    import torch
    from safetensors.torch import load_file, save_file
    from testing.live_adapter import _publish

    adapter = tmp_path / "adapter"
    _live(adapter)
    rows = torch.randn(70, 32)
    names = (
        f"base_model.model.{HEAD}",
        "base_model.model.model.language_model.embed_tokens.weight",
    )
    tensors = load_file(adapter / "adapter_model.safetensors")
    save_file(
        tensors | {name: rows.clone() for name in names}, adapter / "adapter_model.safetensors"
    )
    with pytest.raises(WeightsError, match="another vocabulary") as refused:
        merge(Model.of(base, QwenVL()), adapter, tmp_path / "out")
    assert "resize_token_embeddings(70)" in refused.value.remedy
    model = _model()
    model.resize_token_embeddings(70)
    model.save_pretrained(tmp_path / "resized")
    config = json.loads((tmp_path / "resized/config.json").read_text())
    _publish(tmp_path / "resized", QwenVL().layout(config), config)
    merge(Model.of(tmp_path / "resized", QwenVL()), adapter, tmp_path / "out")
    out = load_file(tmp_path / "out/model.safetensors")
    assert torch.equal(out[TABLE], rows) and HEAD not in out
