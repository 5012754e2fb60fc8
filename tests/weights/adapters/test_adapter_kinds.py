"""Adapters beyond plain LoRA: against peft, and against arithmetic written out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubkit.sdk import UsageError, WeightsError
from hubkit.weights.merge import merge
from hubkit.weights.model import Model

AT = "model.language_model.layers"
WO = "language_model.model.layers.0.attention.wo.weight"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return found


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


def test_several_adapters_in_turn_with_weights(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, tmp_path: Path
) -> None:
    base, module = make_base(dtype=torch.float32), f"{AT}.0.self_attn.o_proj"
    one, two = (
        lora(module, 32, 32, seed=1),
        lora(module, 32, 32, seed=2) | {"base_model.model.mlp1.1.weight": torch.ones(32, 32)},
    )
    job = [(make_adapter(one, "one"), 0.25), (make_adapter(two, "two"), -0.5)]
    report = merge(Model.of(base, family), job, tmp_path / "out")
    (a1, b1), (a2, b2) = one.values(), list(two.values())[:2]
    before = weights(base)
    close(weights(tmp_path / "out")[WO], before[WO] + 1.5 * (0.25 * b1 @ a1 - 0.5 * b2 @ a2))
    close(
        weights(tmp_path / "out")["mlp1.1.weight"],
        before["mlp1.1.weight"] - 0.5 * (1 - before["mlp1.1.weight"]),
    )
    assert report.adapter_keys == 5


def test_dora_on_a_part_of_a_fused_tensor(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, tmp_path: Path
) -> None:
    base, module = make_base(dtype=torch.float32), f"{AT}.0.self_attn.k_proj"
    tensors = lora(module, 16, 32)
    a, b = tensors.values()
    magnitude = torch.rand(16) + 0.5
    tensors[f"base_model.model.{module}.lora_magnitude_vector"] = magnitude
    merge(Model.of(base, family), make_adapter(tensors, use_dora=True), tmp_path / "out")
    name = "language_model.model.layers.0.attention.wqkv.weight"
    expected = weights(base)[name].clone().view(2, 4, 8, 32)
    keys = expected[:, 2].reshape(16, 32) + 1.5 * b @ a
    expected[:, 2] = (magnitude[:, None] * keys / keys.norm(dim=1, keepdim=True)).view(2, 8, 32)
    close(weights(tmp_path / "out")[name], expected.view(64, 32))


def test_transposed_weights_and_embeddings(
    make_base: Any, make_adapter: Any, family: Any, tmp_path: Path
) -> None:
    base, draw = make_base(dtype=torch.float32), torch.Generator().manual_seed(1)
    embedding = {
        "base_model.model.model.language_model.embed_tokens.lora_embedding_A": torch.randn(
            4, 64, generator=draw
        ),
        "base_model.model.model.language_model.embed_tokens.lora_embedding_B": torch.randn(
            32, 4, generator=draw
        ),
    }
    merge(Model.of(base, family), make_adapter(embedding, "embedding"), tmp_path / "a")
    a, b = embedding.values()
    name = "language_model.model.tok_embeddings.weight"
    close(weights(tmp_path / "a")[name], weights(base)[name] + 1.5 * (b @ a).T)
    turned = {
        f"base_model.model.{AT}.0.mlp.gate_proj.lora_A.weight": torch.randn(4, 48, generator=draw),
        f"base_model.model.{AT}.0.mlp.gate_proj.lora_B.weight": torch.randn(32, 4, generator=draw),
    }
    merge(
        Model.of(base, family), make_adapter(turned, "turned", fan_in_fan_out=True), tmp_path / "b"
    )
    a, b = turned.values()
    name = "language_model.model.layers.0.feed_forward.w1.weight"
    close(weights(tmp_path / "b")[name], weights(base)[name] + 1.5 * (b @ a).T)


def test_internvls_own_checkpoint(make_base: Any, lora: Any, family: Any, tmp_path: Path) -> None:
    """The whole model, its LLM wrapped by peft; alpha is twice the rank."""
    base = make_base(dtype=torch.float32, seed=0)
    trained, tensors = tmp_path / "trained", {}
    for name, tensor in weights(base).items():
        if not name.startswith("language_model."):
            tensors[name] = tensor + 1
            continue
        wrapped = name.replace("language_model.", "language_model.base_model.model.", 1)
        tensors[wrapped.replace("wo.weight", "wo.base_layer.weight")] = tensor
    a, b = torch.randn(4, 32), torch.randn(32, 4)
    at = "language_model.base_model.model.model.layers.0.attention.wo"
    tensors |= {f"{at}.lora_A.default.weight": a, f"{at}.lora_B.default.weight": b}
    trained.mkdir()
    save_file(tensors, trained / "model.safetensors")
    (trained / "config.json").write_text(json.dumps({"use_llm_lora": 4, "use_backbone_lora": 0}))
    report = merge(Model.of(base, family), trained, tmp_path / "out")
    close(weights(tmp_path / "out")[WO], weights(base)[WO] + 2 * b @ a)
    close(weights(tmp_path / "out")["mlp1.0.bias"], weights(base)["mlp1.0.bias"] + 1)
    assert (report.merged, report.replaced, report.copied) == (1, 13, 0)
    (trained / "config.json").write_text("{}")
    with pytest.raises(WeightsError, match="names no LoRA"):
        merge(Model.of(base, family), trained, tmp_path / "again")


def test_a_pickled_peft_adapter(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, tmp_path: Path
) -> None:
    base, tensors = make_base(), lora("lm_head", 64, 32)
    adapter = make_adapter(tensors)
    first = merge(Model.of(base, family), adapter, tmp_path / "a")
    (adapter / "adapter_model.safetensors").unlink()
    torch.save(tensors, adapter / "adapter_model.bin")
    assert merge(Model.of(base, family), adapter, tmp_path / "b") == first


def test_variants_against_their_settings(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, tmp_path: Path
) -> None:
    base, module = make_base(), f"{AT}.0.self_attn.o_proj"
    magnitude = {f"base_model.model.{module}.lora_magnitude_vector": torch.ones(32)}
    bias = {f"base_model.model.{module}.lora_B.bias": torch.ones(32)}
    cases: list[tuple[dict[str, torch.Tensor], dict[str, Any], str]] = [
        (magnitude, {}, "use_dora is False"),
        ({}, {"use_dora": True}, "use_dora is True"),
        (
            {name: torch.ones(3) for name in magnitude},
            {"use_dora": True},
            r"is \(3,\), not \(32,\)",
        ),
        (bias, {"lora_bias": True}, "the base has no tensor"),
    ]
    for i, (more, settings, words) in enumerate(cases):
        with pytest.raises(WeightsError, match=words):
            merge(
                Model.of(base, family),
                make_adapter(lora(module, 32, 32) | more, f"a{i}", **settings),
                tmp_path / "out",
            )
    with pytest.raises(WeightsError, match="XTuner merges no DoRA"):
        job = make_adapter(lora(module, 32, 32) | magnitude, "dora", use_dora=True)
        merge(Model.of(base, family), job, tmp_path / "out", rounding="xtuner")


def test_what_is_no_adapter(make_base: Any, family: Any, tmp_path: Path) -> None:
    for path, words in ((tmp_path / "nowhere", "does not exist"), (tmp_path, "is no adapter")):
        with pytest.raises(UsageError, match=words):
            merge(Model.of(make_base(f"base-{words[0]}"), family), path, tmp_path / "out")
