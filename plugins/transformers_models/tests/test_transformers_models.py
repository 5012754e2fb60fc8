"""Models that no family has tables for: transformers' class says what they are made of, and an
adapter merges into them as strictly as elsewhere."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hubkit_transformers_models import TransformersFamily
from hubkit_transformers_models.conformance import CONFIG as SMOL_256M
from testing.live_adapter import check_merged_weights, loaded
from testing.processor_checks import check_release, check_rows_apart, check_trained_and_asked
from testing.published import Index
from testing.tiny_processor import GEMMA, SMOL, Kind, jobs, make, pictures, records

import hubkit
from hubkit.errors import EnvironmentFailure, UsageError, WeightsError
from hubkit.sdk import SilentRun
from hubkit.sdk.outline import OutlineInput
from hubkit.weights.check import check
from hubkit.weights.checkpoint import Checkpoint
from hubkit.weights.merge import merge
from hubkit.weights.model import Model, open_model

KINDS = {"smolvlm": SMOL, "gemma3": GEMMA}


@dataclass(frozen=True)
class Tiny:
    kind: Kind
    model: Model
    place: Path

    @property
    def base(self) -> Path:
        return self.model.folder


def opened(folder: Path) -> Model:
    """As open_model, in this process."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    with Checkpoint.open(folder) as weights:
        asked = OutlineInput(config, tuple(weights.tensors))
    family = TransformersFamily()
    return Model.of(folder, family.outlined(family.outline(asked, SilentRun()), folder, config))


GEMMA3_27B = {
    **{"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3"},
    **{"image_token_index": 262144, "mm_tokens_per_image": 256},
    "text_config": {
        **{"model_type": "gemma3_text", "hidden_size": 5376, "intermediate_size": 21504},
        **{"num_hidden_layers": 62, "num_attention_heads": 32, "num_key_value_heads": 16},
        **{"head_dim": 128, "vocab_size": 262208, "sliding_window": 1024},
    },
    "vision_config": {
        **{"model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304},
        **{"num_hidden_layers": 27, "num_attention_heads": 16, "image_size": 896},
        **{"patch_size": 14, "vision_use_head": False},
    },
}


def _published(held: str) -> str:
    for start, written in GEMMA.published.items():
        if held.startswith(start):
            return held.replace(start, written, 1)
    return held


def test_the_index_of_gemma3_27b() -> None:
    """google/medgemma-27b-it's model.safetensors.index.json, a gemma-3-27b-it trained further: its
    names lead to each tensor in memory, and its total_size is theirs."""
    shapes = {
        one.held: one.shape
        for one in TransformersFamily().outline(OutlineInput(GEMMA3_27B), SilentRun()).tensors
    }
    layout = {_published(name): shape for name, shape in shapes.items()}
    asked = OutlineInput(GEMMA3_27B, tuple(layout))
    found = TransformersFamily().outline(asked, SilentRun()).tensors
    assert {one.name: one.shape for one in found} == layout
    Index(1247, "2a0c27271444eec945ce9c781c65f575", 54_864_813_280).check(layout)


@pytest.fixture(scope="module", params=KINDS)
def tiny(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    place = tmp_path_factory.mktemp(request.param)
    base = make(KINDS[request.param], place / "base")
    return Tiny(KINDS[request.param], opened(base), place)


def live(folder: Path, model: Any, target: str) -> Any:
    """PEFT's adapter with random numbers on `model`, saved to `folder`."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(8)
    settings = LoraConfig(r=2, lora_alpha=4, init_lora_weights=False, target_modules=[target])
    made = get_peft_model(model, settings)
    made.save_pretrained(folder)
    return made.eval()


def test_what_is_known_of_it(tiny: Tiny) -> None:
    family, config = tiny.model.family, tiny.model.config
    groups = family.native(config).groups
    assert set(groups) == {"llm", "vit", "projector"}
    assert set(groups["llm"].linears) >= {"q_proj", "down_proj"}
    assert tiny.model.vision.context == tiny.kind.image
    assert check(tiny.base, family) == ()
    with Checkpoint.open(tiny.base) as weights:
        assert {name: one.shape for name, one in weights.tensors.items()} == family.layout(config)
    (said,) = family.card(config).limits
    assert tiny.kind.config["architectures"][0] in said


def test_it_merges_as_peft_does(tiny: Tiny, tmp_path: Path) -> None:
    check_merged_weights(tiny.model, tmp_path)


def test_training_and_asking_give_the_model_the_same(tiny: Tiny, tmp_path: Path) -> None:
    images = pictures(tmp_path / "images")
    both = jobs(tiny.base, tmp_path / "jobs", records(), images, tiny.model)
    check_trained_and_asked(*both, linears=14, family=tiny.model.family)
    check_rows_apart(both[0])


def test_a_tied_head_that_an_adapter_changes_alone(tmp_path: Path) -> None:
    """Gemma 3's class ties it, though config.json does not say so."""
    import torch

    tiny = opened(make(GEMMA, tmp_path / "base"))
    peft = live(tmp_path / "adapter", loaded(tiny.folder), "lm_head")
    merge(tiny, tmp_path / "adapter", tmp_path / "out")
    assert check(tmp_path / "out", tiny.family) == ()
    ids = torch.arange(8, 40)[None]
    with torch.no_grad():
        change = peft(input_ids=ids).logits - loaded(tmp_path / "out")(input_ids=ids).logits
    assert change.abs().max() < 1e-5


@pytest.mark.integration  # it starts workers
def test_it_is_asked_in_a_worker_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBKIT_HOME", str(tmp_path / "home"))
    base = make(SMOL, tmp_path / "base")
    found = open_model(base)
    assert found.family.layout(found.config) == opened(base).family.layout(found.config)
    (kept,) = (tmp_path / "home" / "outlines").iterdir()
    before = kept.stat().st_mtime_ns
    assert hubkit.check(base) == () and kept.stat().st_mtime_ns == before
    kept.write_text("{", "utf-8")
    assert hubkit.check(base) == () and len(json.loads(kept.read_text("utf-8"))) > 1


GEMMA_4B = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "model_type": "gemma3",
    "text_config": {
        **{"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240},
        **{"num_hidden_layers": 34, "num_attention_heads": 8, "num_key_value_heads": 4},
        **{"head_dim": 256, "vocab_size": 262208},
    },
    "vision_config": {
        **{"model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304},
        **{"num_hidden_layers": 27, "num_attention_heads": 16, "image_size": 896},
        **{"patch_size": 14, "vision_use_head": False},
    },
}


@pytest.mark.parametrize(
    ("config", "parameters"),
    [(SMOL_256M, 256_484_928), (GEMMA_4B, 4_300_079_472)],
    ids=["SmolVLM-256M-Instruct", "gemma-3-4b-it"],
)
def test_the_parameters_of_published_models(config: dict[str, Any], parameters: int) -> None:
    found = TransformersFamily().outline(OutlineInput(config), SilentRun())
    assert sum(math.prod(one.shape) for one in found.tensors) == parameters


BAD: dict[str, tuple[Mapping[str, Any], type[Exception], str]] = {
    "newer": ({"model_type": "qwen9"}, EnvironmentFailure, "model_type is 'qwen9', and transf"),
    "other class": ({"architectures": ["FuyuForCausalLM"]}, UsageError, "architectures is"),
    "too large": (
        {"text_config": {"model_type": "llama", "num_hidden_layers": 10**9}},
        UsageError,
        "text_config.num_hidden_layers",
    ),
    "no model": ({"vision_config": {"num_attention_heads": 0}}, UsageError, "transformers"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_config_that_is_no_model_is_refused(name: str, tmp_path: Path) -> None:
    changes, kind, message = BAD[name]
    family = TransformersFamily()
    with pytest.raises(kind, match=message):
        family.outline(OutlineInput({**SMOL.config, **changes}), SilentRun())


def test_rearranged_tensors_are_refused() -> None:
    """Experts, which transformers puts into one tensor."""
    from transformers import Qwen3VLMoeConfig

    config = {
        **Qwen3VLMoeConfig().to_dict(),
        "architectures": ["Qwen3VLMoeForConditionalGeneration"],
    }
    config["text_config"] |= {"num_hidden_layers": 1, "num_experts": 2}
    config["vision_config"] |= {"depth": 1, "deepstack_visual_indexes": [0]}
    name = "model.language_model.layers.0.mlp.experts.gate_up_proj"
    with pytest.raises(UsageError, match="rearranges this tensor of Qwen3VLMoe"):
        TransformersFamily().outline(OutlineInput(config, (name,)), SilentRun())


def test_nothing_is_dropped_in_a_merge(tiny: Tiny, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    peft = live(tmp_path / "adapter", loaded(tiny.base), "q_proj")
    weights = load_file(tiny.base / "model.safetensors")
    for change, message in (
        ({"extra.weight": peft.lm_head.weight.detach()}, "'extra.weight' in model.safetensors is"),
        ({next(iter(weights)): None}, "is missing"),
    ):
        folder = Path(shutil.copytree(tiny.base, tmp_path / message[-10:]))
        kept = {k: v for k, v in {**weights, **change}.items() if v is not None}
        save_file(kept, folder / "model.safetensors", {"format": "pt"})
        with pytest.raises(WeightsError, match=message):
            merge(opened(folder), tmp_path / "adapter", tmp_path / "out")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    adapter = {name.replace("q_proj", "x_proj"): one for name, one in load_file(file).items()}
    save_file(adapter, file)
    with pytest.raises(WeightsError, match=r"is not used: the base has no tensor .*x_proj"):
        merge(tiny.model, tmp_path / "adapter", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_lora_on_experts_that_peft_puts_on_parameters_is_refused(
    tiny: Tiny, tmp_path: Path
) -> None:
    """peft's target_parameters: one A and B for a tensor of all experts."""
    import torch
    from safetensors.torch import load_file, save_file

    live(tmp_path / "adapter", loaded(tiny.base), "q_proj")
    file = tmp_path / "adapter" / "adapter_config.json"
    settings = json.loads(file.read_text("utf-8"))
    settings["target_parameters"] = ["mlp.experts.gate_up_proj"]
    file.write_text(json.dumps(settings), "utf-8")
    weights = file.with_name("adapter_model.safetensors")
    at = "base_model.model.model.layers.0.mlp.experts"
    more = {f"{at}.lora_A.weight": torch.ones(4, 8), f"{at}.lora_B.weight": torch.ones(8, 4)}
    save_file(load_file(weights) | more, weights)
    with pytest.raises(WeightsError, match=r"experts.lora_A.weight' is not used: target_param"):
        merge(tiny.model, tmp_path / "adapter", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.integration
def test_a_whole_release(tmp_path: Path) -> None:
    check_release(SMOL, tmp_path, "SmolVLM-Tiny-Colours", steps=250)
