"""BLIP-2 and InstructBLIP: their tables, a merge, a step of training, and what they are asked
with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hubkit_blip2 import Blip2, InstructBlip
from hubkit_blip2.conformance import CONFIG, FLAN_T5, VICUNA
from testing.live_adapter import check_merged_weights, loaded
from testing.processor_checks import check_release, check_rows_apart, check_trained_and_asked
from testing.tiny_blip import BLIPS, single
from testing.tiny_processor import Kind, jobs, make, pictures

from hubkit.sdk import Record, SilentRun
from hubkit.sdk.processing import batched
from hubkit.weights.check import check
from hubkit.weights.companions import carry
from hubkit.weights.merge import merge
from hubkit.weights.model import Model, open_model

TEMPLATE = "chat_template.jinja"


@dataclass(frozen=True)
class Tiny:
    name: str
    kind: Kind
    model: Model


@pytest.fixture(scope="module", params=BLIPS)
def tiny(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    base = make(BLIPS[request.param], tmp_path_factory.mktemp(request.param) / "base")
    return Tiny(request.param, BLIPS[request.param], open_model(base))


def test_names_and_shapes_are_those_of_the_class(tiny: Tiny) -> None:
    config = json.loads((tiny.model.folder / "config.json").read_text("utf-8"))
    layout = tiny.model.family.layout(config)
    live = {name: tuple(one.shape) for name, one in loaded(tiny.model.folder).state_dict().items()}
    copies = tiny.model.family.copies(config)
    assert {**layout, **{name: layout[of] for name, of in copies.items()}} == live
    assert check(tiny.model.folder, tiny.model.family) == ()


def test_it_merges_as_peft_does(tiny: Tiny, tmp_path: Path) -> None:
    check_merged_weights(tiny.model, tmp_path)


def test_training_and_asking_give_the_model_the_same(tiny: Tiny, tmp_path: Path) -> None:
    records, images = single(tiny.kind), pictures(tmp_path / "images")
    both = jobs(tiny.model.folder, tmp_path / "jobs", records, images)
    linears = {"opt": 12, "t5": 36, "vicuna": 14, "instruct_t5": 36}[tiny.name]
    trained = check_trained_and_asked(*both, linears=linears)
    asks = tiny.name in ("opt", "t5")
    assert trained.prompt == ("Question: Which colours? Answer:" if asks else "Which colours?")
    special = tiny.kind.special
    own = [special[number] for number in trained.prompt_ids if number < len(special)]
    ends = {"opt": ["</s>"], "vicuna": ["<s>"]}.get(tiny.name, ["</s>"])
    assert own == ["<image>", *ends]
    if not tiny.kind.head:
        check_rows_apart(both[0], records)


def _inputs(training: Any, record: Record) -> dict[str, Any]:
    """What the model takes for a record; T5's decoder its answer, too."""
    import torch
    from hubkit_peft.checked import open_encoder

    example = open_encoder(training).example(record)
    given = batched([example.inputs], 0, "right")
    return given | ({"labels": torch.tensor([example.labels])} if training.options["split"] else {})


def test_loras_on_every_part_give_the_live_logits(tiny: Tiny, tmp_path: Path) -> None:
    """Of the language model, the tower, the Q-Former and the projection, trained by `peft`."""
    import torch
    from hubkit_peft import PeftTrainer
    from peft import PeftModel

    records, images = single(tiny.kind)[:2], pictures(tmp_path / "images")
    training, _ = jobs(tiny.model.folder, tmp_path / "jobs", records, images)
    options = {"lora": ["llm", "vit", "qformer", "projector"], "full": [], "learning_rate": 0.01}
    training = replace(training, options={**training.options, **options, "steps": 2})
    trained = PeftTrainer().train(training, SilentRun())
    adapter = training.output / trained.adapter
    report = merge(tiny.model, adapter, tmp_path / "merged")
    parts = {name.split(".")[0] for name in _changed(tiny.model.folder, tmp_path / "merged")}
    assert parts == {"language_model", "vision_model", "qformer", "language_projection"}
    assert (
        report.adapter_keys == 2 * report.merged
        and check(tmp_path / "merged", tiny.model.family) == ()
    )
    training = replace(training, options={"split": bool(tiny.kind.head)})
    given = _inputs(training, records[1])
    base, merged = loaded(tiny.model.folder), loaded(tmp_path / "merged")
    with torch.no_grad():
        plain, got = base(**given).logits, merged(**given).logits
        live = PeftModel.from_pretrained(base, adapter).eval()(**given).logits
    assert (live - plain).abs().max() > 1e-3
    assert (live - got).abs().max() < 1e-5


def _changed(one: Path, other: Path) -> list[str]:
    from safetensors.torch import load_file

    a, b = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return [name for name, tensor in a.items() if not tensor.equal(b[name])]


def test_the_merged_folder_has_the_template_that_it_was_trained_with(
    tiny: Tiny, tmp_path: Path
) -> None:
    training, _ = jobs(tiny.model.folder, tmp_path / "jobs", single(tiny.kind), tmp_path)
    assert not (tiny.model.folder / TEMPLATE).exists()
    carry(tiny.model.folder, tmp_path, tiny.model.family, tiny.model.config)
    text = (tmp_path / TEMPLATE).read_text("utf-8")
    assert text == (training.native / TEMPLATE).read_text("utf-8")
    (tmp_path / TEMPLATE).write_text("mine", "utf-8")
    (tmp_path / "again").mkdir()
    carry(tmp_path, tmp_path / "again", tiny.model.family, tiny.model.config)
    assert (tmp_path / "again" / TEMPLATE).read_text("utf-8") == "mine"


@pytest.mark.parametrize(
    ("config", "parameters"),
    [(CONFIG, 3_744_761_856), (FLAN_T5, 3_942_446_592), (VICUNA, 7_913_726_720)],
    ids=["blip2-opt-2.7b", "blip2-flan-t5-xl", "instructblip-vicuna-7b"],
)
def test_the_parameters_of_published_models(config: Mapping[str, Any], parameters: int) -> None:
    """As their repositories count them; the names are compared with the classes' above."""
    family = InstructBlip() if config is VICUNA else Blip2()
    assert family.describe(config).parameters == parameters


@pytest.mark.integration
def test_a_whole_release(tmp_path: Path) -> None:
    check_release(BLIPS["opt"], tmp_path, "BLIP2-OPT-Tiny-Colours", steps=250)
