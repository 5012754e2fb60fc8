"""Qwen3-VL: its tables, a merge, a step of training, and what it is asked with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hubkit_qwen_vl import Qwen3VL
from hubkit_qwen_vl.conformance import QWEN3 as PUBLISHED
from testing.live_adapter import check_merged_weights, check_shapes
from testing.processor_checks import check_release, check_rows_apart, check_trained_and_asked
from testing.published import Index
from testing.tiny_processor import QWEN3, jobs, make, records

from hubkit.sdk import UsageError
from hubkit.weights.model import open_model


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(QWEN3, tmp_path_factory.mktemp("qwen3") / "base")


@pytest.mark.parametrize("tied", [True, False])
def test_names_and_shapes_are_those_of_the_class(base: Path, tied: bool) -> None:
    config = json.loads((base / "config.json").read_text("utf-8"))
    check_shapes(Qwen3VL(), {**config, "tie_word_embeddings": tied})


def test_a_published_size() -> None:
    """Qwen3-VL-4B's."""
    assert Qwen3VL().describe(PUBLISHED).parameters == 4_437_815_808
    with pytest.raises(UsageError, match="deepstack_visual_indexes is not a list"):
        vision = {**PUBLISHED["vision_config"], "deepstack_visual_indexes": 3}
        Qwen3VL().layout({**PUBLISHED, "vision_config": vision})


QWEN3_8B = {
    **PUBLISHED,
    "tie_word_embeddings": False,
    "text_config": {
        **PUBLISHED["text_config"],
        **{"hidden_size": 4096, "intermediate_size": 12288},
    },
    "vision_config": {
        **{"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "out_hidden_size": 4096},
        "deepstack_visual_indexes": [8, 16, 24],
    },
}


def test_the_index_of_qwen3_vl_8b() -> None:
    """nvidia/Cosmos-Reason2-8B's model.safetensors.index.json, a Qwen3-VL-8B-Instruct trained
    further; it says no total_size."""
    Index(750, "82c3e0aa71e33af255ce4d5785345d1a").check(Qwen3VL().layout(QWEN3_8B))


def test_it_merges_as_peft_does(base: Path, tmp_path: Path) -> None:
    check_merged_weights(open_model(base), tmp_path)


def test_training_and_asking_give_the_model_the_same(
    base: Path, images: Path, tmp_path: Path
) -> None:
    both = jobs(base, tmp_path / "jobs", records(), images)
    check_trained_and_asked(*both, linears=14)
    check_rows_apart(both[0])


@pytest.mark.integration
def test_a_whole_release(tmp_path: Path) -> None:
    check_release(QWEN3, tmp_path, "Qwen3-VL-Tiny-Colours", steps=220)
