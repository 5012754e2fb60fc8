"""Terms travel with data, and a release that they forbid is refused before anything is done."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from testing import foodie
from testing.projects import BASE, NAME

import hubkit
from hubkit.data.terms import check_accepted, terms_of
from hubkit.errors import DataError, RefusedError
from hubkit.sdk import Terms

RELEASE = f"""\
name: {NAME}
base: {{path: base, name: hubkit/InternVL2-Tiny}}
data:
  format: foodieqa
  path: data/sivqa_tidy.json
  options: {{form: tutorial}}
  holdout: 0.25
"""
ACCEPTED = """\
  accept_terms:
    - {term: evaluation-only, reason: "the owners allowed it by letter, 2026-10-01"}
    - {term: no-derivatives, reason: "the owners allowed it by letter, 2026-10-01"}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(BASE, tmp_path / "base", ignore=shutil.ignore_patterns("__pycache__"))
    foodie.write(
        tmp_path / "data" / "sivqa_tidy.json", [foodie.single(number) for number in range(256)]
    )
    foodie.draw(tmp_path / "data", 256)
    (tmp_path / "release.yaml").write_text(RELEASE)
    return tmp_path / "release.yaml"


def test_256_questions_become_256_records(project: Path, tmp_path: Path) -> None:
    settings = hubkit.PrepareSettings(format="foodieqa", options={"form": "tutorial"}, holdout=64)
    done = hubkit.prepare(project.parent / "data" / "sivqa_tidy.json", tmp_path / "out", settings)
    assert (done.train, done.holdout, done.report.rows, done.report.records) == (192, 64, 256, 256)
    written = [
        json.loads(line)
        for name in ("train", "holdout")
        for line in (tmp_path / "out" / f"{name}.jsonl").read_text().splitlines()
    ]
    by_id = {one["id"]: one for one in written}
    for number in range(256):
        item = foodie.single(number)
        assert by_id[f"vqa-{number}"] == {
            "id": f"vqa-{number}",
            "image": f"images/{number}.jpeg",
            "conversations": [
                {"from": "human", "value": item["question"] + "\n<image>"},
                {
                    "from": "gpt",
                    "value": item["choices"][number % 4]
                    + "，图中的菜是"
                    + foodie.DISHES[number % 4],
                },
            ],
            "question_type": item["question_type"],
            "food_name": foodie.DISHES[number % 4],
            "food_type": "菜",
            "food_location": "餐馆",
        }
    assert done.terms.restrictions == ("evaluation-only", "no-derivatives")


def test_a_release_that_the_terms_forbid_is_refused_before_any_work(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hubkit", "release", str(project), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    error = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, error["error"]) == (3, "RefusedError")
    assert "evaluation-only: the data are for evaluating models" in error["message"]
    assert (
        "data.accept_terms: [{term: evaluation-only" in error["remedy"]
        and "huggingface.co/datasets/lyan62" in error["remedy"]
    )
    assert not list((project.parent / ".hubkit").rglob("*.jsonl"))
    hubkit.release(project, until="prepare")
    with pytest.raises(RefusedError):
        hubkit.release(project, until="train")


def test_prepared_data_are_bound_by_the_same_terms(project: Path) -> None:
    out = project.parent / "prepared"
    hubkit.prepare(
        project.parent / "data" / "sivqa_tidy.json", out, hubkit.PrepareSettings(format="foodieqa")
    )
    project.write_text(
        f"name: {NAME}\nbase: {{path: base}}\ndata: {{path: prepared/train.jsonl, images: data}}\n"
    )
    with pytest.raises(RefusedError, match="do not allow training on it"):
        hubkit.release(project, until="train")
    terms = terms_of("llava_json", out / "train.jsonl", {})
    assert (terms.benchmark, terms.license) == ("FoodieQA", "cc-by-nc-nd-4.0")
    (out / "dataset.json").write_text(
        (out / "dataset.json").read_text().replace('"terms"', '"trems"')
    )
    with pytest.raises(DataError, match="under which terms"):
        terms_of("llava_json", out / "train.jsonl", {})


def test_accepting_takes_a_reason_and_all_restrictions(project: Path) -> None:
    project.write_text(RELEASE + ACCEPTED)
    spec = hubkit.load_spec(project)
    assert [one.term for one in spec.data.accept_terms] == ["evaluation-only", "no-derivatives"]
    project.write_text(RELEASE + "  accept_terms: [{term: evaluation-only}]\n")
    with pytest.raises(hubkit.errors.SpecError, match="reason"):
        hubkit.load_spec(project)
    terms = Terms(restrictions=("evaluation-only", "no-derivatives"))
    check_accepted("x", terms, ["no-derivatives", "evaluation-only"])
    with pytest.raises(RefusedError) as caught:
        check_accepted("x", terms, ["evaluation-only"])
    assert (
        "no-derivatives" in caught.value.message and "evaluation-only:" not in caught.value.message
    )


@pytest.mark.integration
def test_the_card_says_what_was_accepted_and_that_test_items_were_trained_on(project: Path) -> None:
    training = """\
train:
  options: {rank: 4, alpha: 8, steps: 2, batch_size: 4, learning_rate: 1.0e-3}
smoke: {images: 1, max_new_tokens: 8}
evaluate: {limit: 4, max_new_tokens: 8}
"""
    project.write_text(RELEASE.replace("holdout: 0.25", "holdout: 8") + ACCEPTED + training)
    try:
        folder = hubkit.release(project, until="package").folder
    except (
        RefusedError
    ) as error:  # after two steps the model may say nothing of sense; the terms were not the reason
        pytest.skip(f"the model does not talk: {error.message[:80]}")
    assert folder is not None
    english, chinese = (
        (folder / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md")
    )
    assert (
        "Trained on test items of FoodieQA." in english
        and "训练数据含有 FoodieQA 的测试题" in chinese
    )
    for page in (english, chinese):
        assert "the owners allowed it by letter, 2026" in page and "evaluation" in page
    settings = json.loads((folder / "provenance.json").read_text("utf-8"))["settings"]
    assert settings["data"]["accept_terms"][0]["term"] == "evaluation-only"


def test_both_cards_say_what_is_restricted_accepted_shared_and_trained_on() -> None:
    from hubkit.packaging import card
    from hubkit.sdk import CardFacts

    terms = Terms(
        "cc-by-nc-nd-4.0",
        ("for evaluation",),
        ("evaluation-only",),
        "https://example.org/terms",
        "FoodieQA",
    )
    facts = card.CardInput(
        repository=NAME,
        tag="v1",
        created="2026-01-31",
        base=card.Base("org/InternVL2-Base", card.License("mit"), "release.yaml"),
        family=CardFacts("transformers", "image-text-to-text", (), {}),
        datasets=(
            card.Dataset(
                "food", terms, 10, 4, accepted={"evaluation-only": "allowed by *letter*"}, shared=3
            ),
        ),
    )
    english, chinese = (
        card.render_card(facts)[name].decode() for name in ("README.md", "README.zh-CN.md")
    )
    assert (
        "> **Trained on test items of FoodieQA.**" in english
        and "> **训练数据含有 FoodieQA 的测试题。**" in chinese
    )
    assert (
        "- `evaluation-only`: allowed by \\*letter\\*" in english
        and "- `evaluation-only`：allowed by \\*letter\\*" in chinese
    )
    assert (
        "3 of the held-out records of `food` share a picture" in english
        and "有 3 条与训练样本共用图片或文字" in chinese
    )
    for page in (english, chinese):
        assert "https://example.org/terms" in page.replace("\\", "").replace("&#58;", ":")
