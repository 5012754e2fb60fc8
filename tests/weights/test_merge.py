"""The merged weights against a naive implementation; what is written, and what is kept."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from testing.merging import AT, Tensors, all_weights, merged, refused

from hubkit.sdk import CancelledError, EnvironmentFailure, SilentRun, UsageError, WeightsError
from hubkit.weights.merge import MergeReport, merge
from hubkit.weights.model import Model


@pytest.fixture
def adapter_tensors(lora: Callable[..., Tensors]) -> Tensors:
    generator = torch.Generator().manual_seed(9)
    found = {}
    for seed, (part, height, width) in enumerate(
        [("q", 32, 32), ("k", 16, 32), ("v", 16, 32), ("o", 32, 32)]
    ):
        found |= lora(f"{AT}.0.self_attn.{part}_proj", height, width, seed=seed)
    found |= lora(f"{AT}.1.mlp.down_proj", 32, 48, seed=7)
    found |= lora("lm_head", 64, 32, seed=8)
    found["base_model.model.model.multi_modal_projector.linear_1.weight"] = torch.randn(
        32, 32, generator=generator
    )
    found["base_model.model.model.multi_modal_projector.layer_norm.bias"] = torch.randn(
        32, generator=generator
    )
    return found


def naive(base: Tensors, adapter: Tensors, scale: float, rounding: str) -> Tensors:
    """Written out for this one layout: q rows, then k, then v in each of two groups of 32 rows."""

    def change(weight: torch.Tensor, module: str) -> torch.Tensor:
        a, b = (
            adapter[f"base_model.model.{module}.lora_A.weight"],
            adapter[f"base_model.model.{module}.lora_B.weight"],
        )
        if rounding == "xtuner":
            return weight + (b.to(weight.dtype) @ a.to(weight.dtype)) * scale
        return (weight.float() + scale * (b @ a)).to(weight.dtype)

    out = {name: tensor.clone() for name, tensor in base.items()}
    fused = out["language_model.model.layers.0.attention.wqkv.weight"].view(2, 4, 8, 32)
    for part, places in {"q": slice(0, 2), "k": slice(2, 3), "v": slice(3, 4)}.items():
        own = fused[:, places].reshape(-1, 32)
        fused[:, places] = change(own, f"{AT}.0.self_attn.{part}_proj").view(fused[:, places].shape)
    for name, module in {
        "language_model.model.layers.0.attention.wo.weight": f"{AT}.0.self_attn.o_proj",
        "language_model.model.layers.1.feed_forward.w2.weight": f"{AT}.1.mlp.down_proj",
        "language_model.output.weight": "lm_head",
    }.items():
        out[name] = change(out[name], module)
    out["mlp1.1.weight"] = adapter[
        "base_model.model.model.multi_modal_projector.linear_1.weight"
    ].to(out["mlp1.1.weight"].dtype)
    out["mlp1.0.bias"] = adapter["base_model.model.model.multi_modal_projector.layer_norm.bias"].to(
        out["mlp1.0.bias"].dtype
    )
    return out


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("rounding", ["once", "xtuner"])
def test_merge_equals_the_naive_one(
    make_base: Any,
    make_adapter: Any,
    adapter_tensors: Tensors,
    family: Any,
    tmp_path: Path,
    rounding: Any,
    dtype: Any,
    shards: int,
) -> None:
    base = make_base(dtype=dtype, shards=shards)
    report = merge(
        Model.of(base, family), make_adapter(adapter_tensors), tmp_path / "out", rounding=rounding
    )
    expected, found = (
        naive(all_weights(base), adapter_tensors, 1.5, rounding),
        all_weights(tmp_path / "out"),
    )
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        if rounding == "once" and dtype == torch.float32:
            torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-7)
        else:
            assert torch.equal(found[name], tensor), name
    assert (report.merged, report.replaced, report.copied, report.adapter_keys) == (4, 2, 8, 14)


def test_xtuners_rounding_at_its_rank_is_its_converters_but_for_the_order_of_sums(
    make_base: Any, make_adapter: Any, lora: Callable[..., Tensors], family: Any, tmp_path: Path
) -> None:
    """The converter multiplies in bfloat16, and each processor then sums in an order of its own."""
    base, head = make_base(), "language_model.output.weight"
    tensors = lora("lm_head", 64, 32, rank=128)
    adapter = make_adapter(tensors, r=128, lora_alpha=192)
    merge(Model.of(base, family), adapter, tmp_path / "out", rounding="xtuner")
    left, right = (tensors[f"base_model.model.lm_head.lora_{part}.weight"] for part in "BA")
    weight, product = all_weights(base)[head], left.bfloat16() @ right.bfloat16()
    found, expected = all_weights(tmp_path / "out")[head], weight + product * 1.5
    assert (found != weight).float().mean() > 0.5
    assert (found != expected).float().mean() < 0.002
    torch.testing.assert_close(found, expected, rtol=2**-7, atol=2**-8 * product.abs().max().item())


@pytest.mark.parametrize("shards", [1, 3])
def test_layout_digests_and_companions(
    make_base: Any,
    make_adapter: Any,
    adapter_tensors: Tensors,
    family: Any,
    tmp_path: Path,
    shards: int,
) -> None:
    base, out = make_base(shards=shards), tmp_path / "out"
    report = merge(Model.of(base, family), make_adapter(adapter_tensors), out)
    on_disk = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}
    assert {file.path: file.sha256 for file in report.files} == on_disk
    assert all((out / file.path).stat().st_size == file.size for file in report.files)
    for path in base.glob("model*"):
        length = (
            int.from_bytes(path.read_bytes()[:8], "little") + 8
            if path.suffix == ".safetensors"
            else None
        )
        assert (out / path.name).read_bytes()[:length] == path.read_bytes()[:length]
    assert json.loads((out / "config.json").read_text()) == {
        "model_type": "tiny",
        "layers": 2,
        "torch_dtype": "bfloat16",
    }
    for name in ("tokenizer.json", "modeling_tiny.py", "generation_config.json"):
        assert (out / name).read_bytes() == (base / name).read_bytes()
    delta = torch.cat(
        [
            (load - before).abs().flatten().float()
            for name, before in all_weights(base).items()
            for load in [all_weights(out)[name]]
        ]
    )
    assert report.largest_delta == pytest.approx(delta.max().item(), rel=0.02)
    assert report.largest_delta_tensor == "mlp1.1.weight"


def test_identical_runs_are_byte_identical(
    make_base: Any, make_adapter: Any, adapter_tensors: Tensors, family: Any, tmp_path: Path
) -> None:
    base, adapter = make_base(shards=2), make_adapter(adapter_tensors)
    reports = [
        merge(Model.of(base, family), adapter, tmp_path / f"out{i}", jobs=jobs)
        for i, jobs in enumerate((1, 2, 5))
    ]
    assert reports[0] == reports[1] == reports[2]


def test_official_names_and_an_adapter_of_the_llm_alone(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, tmp_path: Path
) -> None:
    base = make_base(dtype=torch.float32)
    whole = make_adapter(lora("language_model.model.layers.1.attention.wqkv", 64, 32), "whole")
    alone = make_adapter(lora("model.layers.1.attention.wqkv", 64, 32), "alone")
    native = make_adapter(lora("layers.1.mlp.gate_proj", 48, 32), "native")
    first = merge(Model.of(base, family), whole, tmp_path / "a")
    assert first.files == merge(Model.of(base, family), alone, tmp_path / "b").files
    assert merge(Model.of(base, family), native, tmp_path / "c").largest_delta_tensor.endswith(
        "layers.1.feed_forward.w1.weight"
    )


def test_patterns_and_rslora(
    make_base: Any, make_adapter: Any, lora: Any, family: Any, tmp_path: Path
) -> None:
    tensors = lora(f"{AT}.0.self_attn.o_proj", 32, 32, rank=9) | lora(
        f"{AT}.1.self_attn.o_proj", 32, 32
    )
    settings = {
        "rank_pattern": {"layers.0.self_attn.o_proj": 9},
        "alpha_pattern": {r"layers\.\d.self_attn.o_proj": 3},
    }
    base = make_base(dtype=torch.float32)
    for scaled, scales in ((False, (3 / 9, 3 / 4)), (True, (3 / 3, 3 / 2))):
        out = tmp_path / f"out-{scaled}"
        merge(
            Model.of(base, family),
            make_adapter(tensors, f"a-{scaled}", use_rslora=scaled, **settings),
            out,
        )
        for layer, scale in enumerate(scales):
            name = f"language_model.model.layers.{layer}.attention.wo.weight"
            a, b = (
                tensors[f"base_model.model.{AT}.{layer}.self_attn.o_proj.lora_{part}.weight"]
                for part in "AB"
            )
            torch.testing.assert_close(
                all_weights(out)[name], all_weights(base)[name] + scale * b @ a, rtol=0, atol=1e-6
            )


def test_the_hub_cache_and_its_links_are_taken(
    job: Any, make_adapter: Any, lora: Any, tmp_path: Path
) -> None:
    snapshot, blobs = tmp_path / "models--a--b/snapshots/0123", tmp_path / "models--a--b/blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for i, path in enumerate(sorted(job["base"].iterdir())):
        shutil.copy(path, blobs / str(i))
        (snapshot / path.name).symlink_to(f"../../blobs/{i}")
    adapter = make_adapter(lora("lm_head", 64, 32))
    expected = merged(adapter=adapter, **job)
    assert merge(Model.of(snapshot, job["family"]), adapter, tmp_path / "second") == expected


def test_too_small_a_disk_is_seen_before_writing(
    job: Any, make_adapter: Any, lora: Any, monkeypatch: Any
) -> None:
    usage = shutil.disk_usage(job["base"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=5000))
    refused(
        EnvironmentFailure,
        "are needed",
        "0.0 MiB are free",
        adapter=make_adapter(lora("lm_head", 64, 32)),
        **job,
    )


def test_a_disk_that_fills_up_leaves_nothing(
    job: Any, make_adapter: Any, lora: Any, monkeypatch: Any
) -> None:
    real = os.pwrite

    def full(descriptor: int, data: Any, start: int) -> int:
        if start > 8000:
            raise OSError(28, "No space left on device")
        return real(descriptor, data, start)

    monkeypatch.setattr(os, "pwrite", full)
    refused(
        EnvironmentFailure,
        "became full",
        "needed in all",
        adapter=make_adapter(lora("lm_head", 64, 32)),
        **job,
    )


def test_a_base_changed_meanwhile_is_refused(job: Any, make_adapter: Any, lora: Any) -> None:
    class Touch(SilentRun):
        def progress(self, done: float, total: float, unit: str, **numbers: float) -> None:
            os.utime(job["base"] / "model.safetensors", (1, 1))

    refused(
        WeightsError,
        "was changed",
        adapter=make_adapter(lora("lm_head", 64, 32)),
        run=Touch(),
        **job,
    )


def test_cancelling_leaves_nothing(job: Any, make_adapter: Any, lora: Any) -> None:
    class Cancel(SilentRun):
        def check_cancelled(self) -> None:
            raise CancelledError("interrupted", "run again")

    refused(
        CancelledError,
        "interrupted",
        adapter=make_adapter(lora("lm_head", 64, 32)),
        run=Cancel(),
        **job,
    )


def test_an_output_that_is_there_is_kept(job: Any, make_adapter: Any, lora: Any) -> None:
    adapter = make_adapter(lora("lm_head", 64, 32))
    first = merged(adapter=adapter, **job)
    refused(UsageError, "is there already", adapter=adapter, **job)
    assert isinstance(first, MergeReport) and (job["out"] / "model.safetensors").is_file()


def test_an_adapter_that_changes_nothing_is_noted(job: Any, make_adapter: Any, lora: Any) -> None:
    notes = []

    class Notes(SilentRun):
        def note(self, message: str) -> None:
            notes.append(message)

    tensors = lora("lm_head", 64, 32)
    tensors["base_model.model.lm_head.lora_B.weight"].zero_()
    report = merged(adapter=make_adapter(tensors), run=Notes(), **job)
    assert report.largest_delta == 0 and notes == [
        "the adapter changes nothing: the merged weights are the base's"
    ]
    assert (job["out"] / "model.safetensors").read_bytes() == (
        job["base"] / "model.safetensors"
    ).read_bytes()


def test_two_at_once_do_not_meet(job: Any, make_adapter: Any, lora: Any, tmp_path: Path) -> None:
    other = tmp_path / ".out.partial"
    other.mkdir()
    held = os.open(other, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    refused(
        UsageError,
        "another process is writing",
        adapter=make_adapter(lora("lm_head", 64, 32)),
        **job,
    )
    os.close(held)
    assert merged(adapter=tmp_path / "adapter", **job).merged == 1


def test_what_a_killed_run_left_is_cleared(
    job: Any, make_adapter: Any, lora: Any, tmp_path: Path
) -> None:
    left = tmp_path / ".out.partial"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    (left / "stale.json").write_text("{}")
    merged(adapter=make_adapter(lora("lm_head", 64, 32)), **job)
    assert not left.exists() and not (job["out"] / "stale.json").exists()
