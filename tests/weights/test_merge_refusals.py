"""What a merge refuses, and that it leaves nothing behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from testing.merging import AT, merged, refused
from testing.rights import ordinary

from hubkit.sdk import UsageError, WeightsError
from hubkit.weights.staging import _claim


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


def renamed(tensors: dict[str, torch.Tensor], old: str, new: str) -> dict[str, torch.Tensor]:
    return {name.replace(old, new): tensor for name, tensor in tensors.items()}


def several(lora: Any) -> dict[str, torch.Tensor]:
    """Two adapters in one file."""
    tensors = lora("lm_head", 64, 32)
    two = {name: tensor.clone() for name, tensor in tensors.items()}
    return renamed(tensors, ".weight", ".one.weight") | renamed(two, ".weight", ".two.weight")


def three_dimensions(lora: Any) -> dict[str, torch.Tensor]:
    return {name: tensor[..., None] for name, tensor in lora("lm_head", 64, 32).items()}


def nameless(lora: Any) -> dict[str, torch.Tensor]:
    """A module that every layer has, without its layer."""
    tensors: dict[str, torch.Tensor] = lora("self_attn.o_proj", 32, 32)
    return tensors


def twice(lora: Any) -> dict[str, torch.Tensor]:
    """A module by its native and by its official name."""
    native = lora(f"{AT}.0.self_attn.o_proj", 32, 32)
    return native | lora("language_model.model.layers.0.attention.wo", 32, 32)


@pytest.mark.parametrize(
    ("make", "settings", "words", "remedy"),
    [
        (
            lambda lora: lora("lm_head", 64, 32),
            {"rank_pattern": {"lm_head": 0}},
            "'lm_head' has rank 0",
            "train with a rank of at least 1",
        ),
        (several, {}, "are the same part of one module", "save a single adapter"),
        (
            three_dimensions,
            {},
            "they must be (rank, in) and (out, rank)",
            "merge it with peft itself, or train a plain LoRA",
        ),
        (
            nameless,
            {},
            "could be any of language_model.model.layers.0.attention.wo.weight, ",
            "save the adapter from the whole model",
        ),
        (twice, {}, "both change the same rows", "save the adapter again"),
    ],
)
def test_what_an_adapter_cannot_mean(
    job: Any,
    make_adapter: Any,
    lora: Any,
    make: Any,
    settings: dict[str, Any],
    words: str,
    remedy: str,
) -> None:
    refused(WeightsError, words, remedy, adapter=make_adapter(make(lora), **settings), **job)
    good = lora("lm_head", 64, 32) | lora(f"{AT}.0.self_attn.o_proj", 32, 32)
    merged(adapter=make_adapter(good, "good"), **job)


def test_a_pickled_adapter_with_more_than_tensors(job: Any, make_adapter: Any, lora: Any) -> None:
    tensors = lora("lm_head", 64, 32)
    adapter = make_adapter(tensors)
    (adapter / "adapter_model.safetensors").unlink()
    torch.save({**tensors, "epoch": 3}, adapter / "adapter_model.bin")
    refused(
        UsageError,
        "adapter_model.bin holds more than tensors",
        "save it as safetensors",
        adapter=adapter,
        **job,
    )
    merged(adapter=make_adapter(tensors, "good"), **job)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("LICENSE", "correct its permissions"),
        ("model.safetensors", "correct the file's permissions"),
    ],
)
def test_a_file_that_may_not_be_read(
    job: Any, make_adapter: Any, lora: Any, name: str, remedy: str
) -> None:
    path, adapter = job["base"] / name, make_adapter(lora("lm_head", 64, 32))
    path.touch()
    path.chmod(0)
    with ordinary():
        refused(WeightsError, name, "Permission denied", remedy, adapter=adapter, **job)
        path.chmod(0o600)
        merged(adapter=adapter, **job)


def test_a_companion_that_is_no_json(job: Any, make_adapter: Any, lora: Any) -> None:
    path, adapter = job["base"] / "generation_config.json", make_adapter(lora("lm_head", 64, 32))
    whole = path.read_text()
    path.write_text(whole[:-1])
    words = ("generation_config.json: not JSON", "download the base again")
    refused(WeightsError, *words, adapter=adapter, **job)
    path.write_text(whole)
    merged(adapter=adapter, **job)


def test_another_process_that_has_just_written_the_folder(tmp_path: Path) -> None:
    """Between opening its partial folder and locking it, that became the folder asked for."""
    partial, out = tmp_path / ".out.partial", tmp_path / "out"
    partial.mkdir()
    lock = os.open(partial, os.O_RDONLY)
    partial.rename(out)
    with pytest.raises(UsageError, match=r"another process has just written .*out"):
        _claim(lock, partial, out)
    os.close(lock)
