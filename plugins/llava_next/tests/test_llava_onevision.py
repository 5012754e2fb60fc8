"""LLaVA-OneVision: its tables, a merge, a step of training, and what it is asked with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hubkit_llava_next import LLaVAOneVision
from testing.live_adapter import check_merged_weights, check_shapes
from testing.processor_checks import check_release, check_rows_apart, check_trained_and_asked
from testing.tiny_processor import ONEVISION, jobs, make, pictures, records

from hubkit.weights.model import open_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(ONEVISION, tmp_path_factory.mktemp("onevision") / "base")


@pytest.mark.parametrize("head", [True, False])
def test_names_and_shapes_are_those_of_the_class(base: Path, head: bool) -> None:
    config = json.loads((base / "config.json").read_text("utf-8"))
    vision = {**config["vision_config"], "vision_use_head": head}
    check_shapes(LLaVAOneVision(), {**config, "vision_config": vision})


def test_it_merges_as_peft_does(base: Path, tmp_path: Path) -> None:
    check_merged_weights(open_model(base), tmp_path)


def test_training_and_asking_give_the_model_the_same(base: Path, tmp_path: Path) -> None:
    both = jobs(base, tmp_path / "jobs", records(), pictures(tmp_path / "images"))
    check_trained_and_asked(*both, linears=14)
    check_rows_apart(both[0])


@pytest.mark.integration
def test_a_whole_release(tmp_path: Path) -> None:
    check_release(ONEVISION, tmp_path, "LLaVA-OneVision-Tiny-Colours", steps=250)
