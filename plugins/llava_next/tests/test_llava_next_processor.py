"""Pictures arranged by LLaVA-NeXT's own processor: training and asking see the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from testing.processor_checks import check_release, check_rows_apart, check_trained_and_asked
from testing.tiny_processor import NEXT, jobs, make, pictures, records

import hubkit
from hubkit.errors import UsageError
from hubkit.sdk.processing import Processor


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    place = tmp_path_factory.mktemp("next")
    images = pictures(place / "images")
    return jobs(make(NEXT, place / "base"), place / "jobs", records(), images)


def test_training_and_asking_give_the_model_the_same(both: tuple[Any, Any]) -> None:
    trained = check_trained_and_asked(*both, linears=14)
    assert trained.prompt == "[INST] <image>\nWhich colours? [/INST]"


def test_rows_of_a_batch_do_not_touch_each_other(both: tuple[Any, Any]) -> None:
    """Pictures of several numbers of tiles are filled up as the processor itself does."""
    check_rows_apart(both[0])


def test_a_processor_without_its_patch_size_is_refused(both: Any, tmp_path: Path) -> None:
    from PIL import Image

    ignored = shutil.ignore_patterns("*.safetensors")
    base = Path(shutil.copytree(both[0].base, tmp_path / "base", ignore=ignored))
    file = base / "processor_config.json"
    settings = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**settings, "patch_size": None}), "utf-8")
    with pytest.raises(UsageError, match="record one: the model's processor fails") as caught:
        Processor.open(base).inputs("<image>", [Image.new("RGB", (56, 56))], "record one")
    assert "`hubkit check` names what is missing" in caught.value.remedy
    assert "processor_config.json: patch_size" in [one.where for one in hubkit.check(base)]


@pytest.mark.integration
def test_a_whole_release(tmp_path: Path) -> None:
    check_release(NEXT, tmp_path, "LLaVA-v1.6-Tiny-Colours", steps=250)
