"""BLIP-2 and InstructBLIP: their tables, a merge, a step of training, and what they are asked
with."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hubkit_blip2 import Blip2, InstructBlip
from hubkit_blip2.conformance import CONFIG, FLAN_T5, VICUNA
from testing.live_adapter import check_merged_weights, check_shapes, loaded
from testing.processor_checks import check_release, check_rows_apart, check_trained_and_asked
from testing.tiny_blip import BLIPS, single
from testing.tiny_processor import Kind, jobs, make, pictures

from hubkit.weights.check import check
from hubkit.weights.convert import native_view
from hubkit.weights.merge import merge
from hubkit.weights.model import Model, open_model


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
    both = jobs(tiny.model.folder, tmp_path / "jobs", single(tiny.kind), pictures(tmp_path / "p"))
    check_trained_and_asked(*both, linears=12)
