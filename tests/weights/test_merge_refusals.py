"""What a merge refuses, and that it leaves nothing behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from testing.merging import AT, refused

from hubkit.sdk import WeightsError


def test_unused_keys_are_named(job: Any, make_adapter: Any, lora: Any) -> None:
    tensors = lora(f"{AT}.7.self_attn.q_proj", 32, 32) | lora(f"{AT}.0.self_attn.q_proj", 32, 32)
    refused(
        WeightsError,
        f"base_model.model.{AT}.7.self_attn.q_proj.lora_B.weight",
        "not used",
        adapter=make_adapter(tensors),
        **job,
    )


def test_a_renamed_key_is_refused(job: Any, make_adapter: Any, lora: Any) -> None:
    tensors = {
        name.replace("lora_A", "lora_a"): t
        for name, t in lora(f"{AT}.0.self_attn.q_proj", 32, 32).items()
    }
    refused(WeightsError, "has the parts B", adapter=make_adapter(tensors), **job)


def test_rank_zero_is_refused(job: Any, make_adapter: Any, lora: Any) -> None:
    refused(
        WeightsError, "r is 0", adapter=make_adapter(lora("lm_head", 64, 32), "config", r=0), **job
    )
    refused(
        WeightsError,
        "lm_head",
        "rank 0",
        adapter=make_adapter(lora("lm_head", 64, 32, rank=0), "weights"),
        **job,
    )
    refused(
        WeightsError,
        "has rank 4",
        "say 8",
        adapter=make_adapter(lora("lm_head", 64, 32), "other", r=8),
        **job,
    )


def test_an_adapter_for_another_base_names_shapes(job: Any, make_adapter: Any, lora: Any) -> None:
    tensors = lora("lm_head", 128, 32)
    refused(
        WeightsError,
        "lm_head",
        "(128, 32)",
        "(64, 32)",
        "language_model.output.weight",
        adapter=make_adapter(tensors),
        **job,
    )


def test_unknown_settings_are_named(job: Any, make_adapter: Any, lora: Any) -> None:
    tensors = lora("lm_head", 64, 32)
    for i, settings in enumerate(
        (
            {"use_qalora": True},
            {"init_lora_weights": "pissa"},
            {"brand_new": 1},
            {"peft_type": "LOHA"},
        )
    ):
        refused(
            WeightsError,
            next(iter(settings)),
            adapter=make_adapter(tensors, f"a{i}", **settings),
            **job,
        )


def test_an_empty_adapter_is_refused(job: Any, make_adapter: Any) -> None:
    refused(WeightsError, "holds no tensors", adapter=make_adapter({}), **job)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(job: Any, make_adapter: Any, lora: Any, value: float) -> None:
    tensors = lora("lm_head", 64, 32)
    tensors["base_model.model.lm_head.lora_B.weight"][3, 1] = value
    refused(
        WeightsError,
        "language_model.output.weight",
        "NaN or infinity",
        adapter=make_adapter(tensors),
        **job,
    )


def test_a_base_with_nan_is_refused(job: Any, make_adapter: Any, lora: Any) -> None:
    tensors = load_file(job["base"] / "model.safetensors")
    tensors["mlp1.0.weight"][0] = float("nan")
    save_file(tensors, job["base"] / "model.safetensors")
    refused(
        WeightsError, "mlp1.0.weight", "NaN", adapter=make_adapter(lora("lm_head", 64, 32)), **job
    )


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8])
def test_quantised_weights_are_named(
    job: Any, make_adapter: Any, lora: Any, dtype: torch.dtype
) -> None:
    tensors = load_file(job["base"] / "model.safetensors")
    tensors["mlp1.1.weight"] = tensors["mlp1.1.weight"].to(dtype)
    save_file(tensors, job["base"] / "model.safetensors")
    names = {torch.float8_e4m3fn: "F8_E4M3", torch.int8: "I8"}
    refused(
        WeightsError,
        "mlp1.1.weight",
        names[dtype],
        adapter=make_adapter(lora("lm_head", 64, 32)),
        **job,
    )


def test_a_base_that_differs_from_its_config(job: Any, make_adapter: Any, lora: Any) -> None:
    tensors = load_file(job["base"] / "model.safetensors")
    tensors["extra.weight"] = tensors.pop("mlp1.0.bias")
    tensors["mlp1.0.weight"] = torch.zeros(31, dtype=torch.bfloat16)
    save_file(tensors, job["base"] / "model.safetensors")
    words = ("'mlp1.0.bias' is missing", "'extra.weight'", "unexpected", "(31,)", "(32,)")
    refused(WeightsError, *words, adapter=make_adapter(lora("lm_head", 64, 32)), **job)


def test_a_truncated_base_names_the_missing_bytes(job: Any, make_adapter: Any, lora: Any) -> None:
    path = job["base"] / "model.safetensors"
    os.truncate(path, path.stat().st_size - 100)
    refused(
        WeightsError,
        "model.safetensors",
        "100 of",
        "missing",
        adapter=make_adapter(lora("lm_head", 64, 32)),
        **job,
    )


def test_a_missing_companion_is_named(job: Any, make_adapter: Any, lora: Any) -> None:
    (job["base"] / "modeling_tiny.py").unlink()
    (job["base"] / "tokenizer.json").unlink()
    words = ("modeling_tiny.py", "tokenizer.json or tokenizer.model")
    refused(WeightsError, *words, adapter=make_adapter(lora("lm_head", 64, 32)), **job)


def test_a_companion_that_links_outside_is_refused(
    job: Any, make_adapter: Any, lora: Any, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("token")
    (job["base"] / "LICENSE").symlink_to(tmp_path / "secret")
    refused(
        WeightsError,
        "LICENSE",
        "outside the folder",
        adapter=make_adapter(lora("lm_head", 64, 32)),
        **job,
    )
