"""What lies beside an adapter is merged, left for a reason, or refused by name."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import hubkit
from hubkit.sdk import WeightsError
from hubkit.weights.adapters.extra_weights import TRAINED_WHOLE
from hubkit.weights.merge import merge
from hubkit.weights.model import Model

WO = "model.language_model.layers.0.self_attn.o_proj"
PROJECTOR = "base_model.model.model.multi_modal_projector.linear_1.weight"


@pytest.fixture
def adapter(make_adapter: Any, lora: Any) -> Path:
    folder: Path = make_adapter(lora(WO, 32, 32), base_model_name_or_path="me/base")
    return folder


def save(tensors: dict[str, torch.Tensor], path: Path) -> None:
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)


@pytest.mark.parametrize("stem", TRAINED_WHOLE)
@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_parts_that_were_trained_whole_are_merged(
    make_base: Any, adapter: Path, family: Any, tmp_path: Path, stem: str, suffix: str
) -> None:
    trained = torch.randn(32, 32)
    save({PROJECTOR: trained}, adapter / f"{stem}{suffix}")
    report = merge(Model.of(make_base(dtype=torch.float32), family), adapter, tmp_path / "out")
    out = load_file(tmp_path / "out/model.safetensors")
    assert torch.equal(out["mlp1.1.weight"], trained)
    assert (report.merged, report.replaced, report.adapter_keys) == (1, 1, 3)


def test_every_key_of_them_is_used(
    make_base: Any, adapter: Path, family: Any, tmp_path: Path
) -> None:
    save(
        {PROJECTOR.replace("linear_1", "linear_9"): torch.ones(32, 32)},
        adapter / "non_lora_trainables.bin",
    )
    with pytest.raises(WeightsError, match=r"linear_9\.weight' is not used"):
        merge(Model.of(make_base(), family), adapter, tmp_path / "out")
    save({PROJECTOR: torch.empty(0)}, adapter / "non_lora_trainables.bin")
    with pytest.raises(WeightsError, match="1 of 3 tensors are empty"):
        merge(Model.of(make_base("again"), family), adapter, tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_a_key_in_two_files_is_refused(
    make_base: Any, adapter: Path, family: Any, tmp_path: Path
) -> None:
    for stem in TRAINED_WHOLE:
        save({PROJECTOR: torch.ones(32, 32)}, adapter / f"{stem}.bin")
    with pytest.raises(WeightsError) as refused:
        merge(Model.of(make_base(), family), adapter, tmp_path / "out")
    assert all(f"{stem}.bin" in refused.value.message for stem in TRAINED_WHOLE)
    (adapter / "non_lora_trainables.bin").rename(tmp_path / "moved.bin")
    merge(Model.of(make_base("again"), family), adapter, tmp_path / "out")


class Attack:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)


def test_a_pickle_beside_it_runs_nothing(
    make_base: Any, adapter: Path, family: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"x": Attack()}, adapter / "non_lora_trainables.bin")
    with pytest.raises(WeightsError, match="nothing was run"):
        merge(Model.of(make_base(), family), adapter, tmp_path / "out")
    assert not Path("ran").exists()


@pytest.mark.parametrize("seed", range(8))
def test_any_other_weights_are_refused_by_name(
    make_base: Any, adapter: Path, family: Any, tmp_path: Path, seed: int
) -> None:
    """Names as trainers give them, drawn at random."""
    draw = random.Random(seed)
    stem = draw.choice(["mm_projector", "value_head", "vit", "merger", "new_embeddings", "extra"])
    suffix = draw.choice([".bin", ".pt", ".pth", ".safetensors", ".ckpt", ".npz", ".gguf"])
    extra = adapter / draw.choice([f"{stem}{suffix}", f"{stem}/model{suffix}"])
    extra.parent.mkdir(exist_ok=True)
    save({PROJECTOR: torch.ones(32, 32)}, extra)
    with pytest.raises(WeightsError) as refused:
        merge(Model.of(make_base(), family), adapter, tmp_path / "out")
    named = extra.relative_to(adapter).parts[0]
    assert f"{named} lies beside the adapter" in refused.value.message
    assert named in [problem.where for problem in hubkit.check(adapter)]
    assert not list(tmp_path.glob("*out*"))
    (adapter / named).rename(tmp_path / named)
    merge(Model.of(make_base("again"), family), adapter, tmp_path / "out")


def test_a_trainings_own_state_is_left(
    make_base: Any, adapter: Path, family: Any, tmp_path: Path
) -> None:
    for name in ("optimizer.pt", "scheduler.pt", "rng_state_1.pth", "training_args.bin"):
        (adapter / name).write_bytes(b"x")
    earlier = adapter / "checkpoint-50"
    earlier.mkdir()
    (earlier / "adapter_config.json").write_text("{}")
    save({PROJECTOR: torch.ones(32, 32)}, earlier / "adapter_model.safetensors")
    merge(Model.of(make_base(), family), adapter, tmp_path / "out")
    earlier.rename(adapter / "vision")
    with pytest.raises(WeightsError, match="vision lies beside the adapter") as refused:
        merge(Model.of(make_base("again"), family), adapter, tmp_path / "second")
    assert "--then" in refused.value.remedy


def test_weights_beside_a_part_of_an_adapter(
    make_base: Any, adapter: Path, family: Any, tmp_path: Path
) -> None:
    """In the folders that XTuner's `pth_to_hf` makes of a LLaVA."""
    whole = tmp_path / "xtuner"
    whole.mkdir()
    adapter.rename(whole / "llm_adapter")
    (whole / "llm_adapter" / "mm_projector.bin").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"llm_adapter/mm_projector\.bin lies beside"):
        merge(Model.of(make_base(), family), whole, tmp_path / "out")


@pytest.mark.parametrize("tying", [False, True])
def test_a_module_that_was_trained_and_not_saved(
    make_base: Any, adapter: Path, family: Any, tmp_path: Path, tying: bool
) -> None:
    """As peft names modules: by the end. Of what the base has not, nothing was trained."""
    base, settings = Model.of(make_base(), family), adapter / "adapter_config.json"
    plain = {**json.loads(settings.read_text()), "ensure_weight_tying": tying}
    settings.write_text(json.dumps({**plain, "modules_to_save": ["projector", "classifier"]}))
    with pytest.raises(WeightsError, match=r"'projector' .+ of which the adapter") as refused:
        merge(base, adapter, tmp_path / "out")
    assert "take it out of modules_to_save" in refused.value.remedy
    save({PROJECTOR: torch.ones(32, 32)}, adapter / "non_lora_state_dict.bin")
    assert merge(base, adapter, tmp_path / "with").replaced == 1
    (adapter / "non_lora_state_dict.bin").unlink()
    settings.write_text(json.dumps({**plain, "modules_to_save": ["classifier"]}))
    assert merge(base, adapter, tmp_path / "without").replaced == 0
    settings.write_text(json.dumps({**plain, "modules_to_save": ["lm_head"]}))
    if tying:  # one file for both sides of the tie
        assert merge(base, adapter, tmp_path / "tied").replaced == 0
    else:
        with pytest.raises(WeightsError, match="'lm_head'"):
            merge(base, adapter, tmp_path / "tied")


def test_check_never_says_that_a_training_is_to_be_removed(adapter: Path) -> None:
    """LLaVA's own training puts the model's config.json beside the adapter, too."""
    (adapter / "config.json").write_text(json.dumps({"architectures": ["LlavaLlamaForCausalLM"]}))
    save({PROJECTOR: torch.ones(32, 32)}, adapter / "non_lora_trainables.bin")
    save({PROJECTOR: torch.ones(32, 32)}, adapter / "value_head.safetensors")
    found = {problem.where: problem for problem in hubkit.check(adapter)}
    assert found.keys() == {"non_lora_trainables.bin", "value_head.safetensors"}
    assert "hubkit merge reads this file" in found["non_lora_trainables.bin"].remedy
    assert not any("remove" in problem.remedy for problem in found.values())
