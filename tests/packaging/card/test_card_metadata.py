"""The front matter, read back as a hub's client reads it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml
from huggingface_hub import EvalResultEntry, ModelCard, parse_eval_result_entries

from hubkit.evaluation.results import Interval, Measure
from hubkit.packaging.card import Base, CardInput, Dataset, License, render_card, write_card
from hubkit.packaging.card.metadata import LICENSES, hub_license
from hubkit.sdk import UsageError

CONTAINS = Measure("contains", "1", 400, score=Interval(0.975, 0.9575, 0.9875), right=390)


def _loaded(facts: CardInput, folder: Path) -> ModelCard:
    write_card(folder, facts)
    return ModelCard.load(folder / "README.md")


def test_full_metadata_reads_back(full: CardInput, tmp_path: Path) -> None:
    data = _loaded(full, tmp_path).data
    assert (data.license, data.license_name, data.license_link) == ("apache-2.0", None, None)
    assert (data.base_model, data.base_model_relation) == ("example/InternVL2-Tiny", "finetune")
    assert (data.pipeline_tag, data.library_name) == ("image-text-to-text", "transformers")
    assert data.language == ["en", "zh"]
    assert data.datasets == ["example/handwritten-digits"]
    assert data.tags == ["internvl", "custom_code", "hubkit"]
    assert data.metrics == ["exact_match"]
    assert data.model_name == "InternVL2-Digits"
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_name, result.metric_value) == (
        "exact_match",
        "Exact match",
        0.96,
    )
    assert (result.task_type, result.dataset_type) == (
        "image-text-to-text",
        "example/handwritten-digits",
    )
    assert (result.dataset_split, result.dataset_args) == ("holdout", {"samples": 400})
    assert result.metric_args == {
        "interval_95": [0.94, 0.9775],
        "base": 0.305,
        "change": 0.655,
        "change_interval_95": [0.61, 0.7],
    }


NOTES = (
    "400 held-out samples, greedy; 95 % CI 94.0 to 97.8; base model 30.5 %: +65.5 points, 95 % CI "
    "61.0 to 70.0"
)


def test_results_in_hugging_faces_newer_place(full: CardInput, tmp_path: Path) -> None:
    facts = dataclasses.replace(full, evaluations=(*full.evaluations, CONTAINS))
    write_card(tmp_path, facts)
    (file,) = (tmp_path / ".eval_results").iterdir()
    assert file.name == "handwritten-digits.yaml"
    first, second = parse_eval_result_entries(yaml.safe_load(file.read_text("utf-8")))
    assert first == EvalResultEntry(
        "example/handwritten-digits",
        "exact_match",
        0.96,
        date="2026-01-31T12:00:00Z",
        notes=f"{NOTES}; hubkit exact_match 1",
    )
    assert (second.task_id, second.value, "base" in (second.notes or "")) == (
        "contains",
        0.975,
        False,
    )


def test_results_as_modelscope_has_them(full: CardInput, tmp_path: Path) -> None:
    data = _loaded(full, tmp_path).data.to_dict()
    (result,) = data["indexing"]["results"]
    assert result["dataset"]["name"] == "example/handwritten-digits"
    (metric,) = result["metrics"]
    assert (metric["type"], metric["value"], metric["description"]) == (
        "exact_match",
        0.96,
        f"{NOTES}; hubkit exact_match 1",
    )
    assert data["metrics"] == ["exact_match"]


def test_results_of_an_earlier_card_are_removed(
    full: CardInput, minimal: CardInput, tmp_path: Path
) -> None:
    write_card(tmp_path, full)
    write_card(tmp_path, minimal)
    assert list((tmp_path / ".eval_results").iterdir()) == []


def test_minimal_metadata_has_no_empty_keys(minimal: CardInput, tmp_path: Path) -> None:
    assert _loaded(minimal, tmp_path).data.to_dict() == {
        "license": "mit",
        "base_model": "OpenGVLab/InternVL2-2B",
        "base_model_relation": "finetune",
        "pipeline_tag": "image-text-to-text",
        "library_name": "transformers",
        "language": ["en"],
        "tags": ["internvl", "custom_code", "hubkit"],
        "tasks": ["image-text-to-text"],
        "frameworks": ["pytorch"],
    }


def test_several_metrics_stand_in_one_result(full: CardInput, tmp_path: Path) -> None:
    facts = dataclasses.replace(full, evaluations=(*full.evaluations, CONTAINS))
    index = _loaded(facts, tmp_path).data.to_dict()["model-index"]
    assert [metric["value"] for metric in index[0]["results"][0]["metrics"]] == [0.96, 0.975]


def test_names_that_are_no_repositories_stay_out_of_the_metadata(
    full: CardInput, tmp_path: Path
) -> None:
    base = dataclasses.replace(full.base, name="my own base")
    data = _loaded(
        dataclasses.replace(full, base=base, datasets=(Dataset("photos: of food"),)), tmp_path
    ).data
    assert data.base_model is None and data.datasets is None and "base_model_relation" not in data
    assert (data.eval_results[0].dataset_type, data.eval_results[0].dataset_name) == (
        "photos-of-food",
        "photos: of food",
    )


@pytest.mark.parametrize(
    ("license", "expected"),
    [
        (License("MIT"), License("mit")),
        (License("Some House Licence"), License("other", "some-house-licence", "")),
        (
            License("other", "Model License!", "LICENSE"),
            License("other", "model-license", "LICENSE"),
        ),
    ],
)
def test_licenses_as_hubs_take_them(license: License, expected: License) -> None:
    assert hub_license(license) == expected


def test_an_unusual_license_is_written_with_name_and_link(full: CardInput, tmp_path: Path) -> None:
    base = Base(
        "example/InternVL2-Tiny",
        License("other", "tiny-license", "https://example.org/license"),
        "base model card README.md",
    )
    card = _loaded(dataclasses.replace(full, base=base), tmp_path)
    assert (card.data.license, card.data.license_name, card.data.license_link) == (
        "other",
        "tiny-license",
        "https://example.org/license",
    )
    assert "**tiny-license** (read from: base model card README.md)" in card.text


def test_known_licenses_are_ids() -> None:
    assert {"mit", "apache-2.0", "cc-by-nc-nd-4.0", "bsd-3-clause", "llama3", "other"} <= LICENSES
    assert all(name == name.lower() and " " not in name for name in LICENSES)


def test_all_problems_are_reported_at_once(full: CardInput) -> None:
    broken = dataclasses.replace(
        full,
        repository="a/b/c",
        created="yesterday",
        base=dataclasses.replace(full.base, name="/home/me/base", license=License("")),
        datasets=(Dataset("~/data"),),
        languages=("english",),
        evaluations=(
            dataclasses.replace(CONTAINS, count=3, score=Interval(float("nan"), 0, 1), right=4),
        ),
    )
    with pytest.raises(UsageError) as caught:
        render_card(broken)
    for part in (
        "'a/b/c'",
        "'yesterday'",
        "'/home/me/base'",
        "base.license",
        "'~/data'",
        "'english'",
        "finite",
        "more right answers",
    ):
        assert part in caught.value.message
    assert caught.value.exit_code == 2 and "release.yaml" in caught.value.remedy
