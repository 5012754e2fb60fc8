"""Any README.md held to the hubs' rules, before any byte goes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from testing.projects import BASE

import hubkit
from hubkit.errors import RefusedError
from hubkit.packaging.written_card import card_problems
from hubkit.sdk.card_metadata import LICENSES, problems

REFUSED = [
    ("license: mit\nbase_model: OpenGVLab/InternVL2-2B: fine", "line 3: mapping values are not"),
    ("tags: [a, b", "line 3: "),
    ("license: mit\nlicense: mit", "line 3: 'license' is given twice (first on line 2)"),
    ("- a\n- b", "not a mapping"),
    ("license: InternVL-License", "license 'InternVL-License' is no licence id that hubs know"),
    ("license: MIT", "write mit"),
    ("license: 2.0", "license 2.0 is no licence id"),
    ("language: English", "language 'English' is not an ISO 639 code"),
    ("language: [en, zh-CN]", "language 'zh-CN' is not"),
    ("base_model: ./models/InternVL2-2B", "base_model './models/InternVL2-2B' is not a repository"),
    ("base_model: /data/me/InternVL2-2B", "base_model '/data/me/InternVL2-2B' is not"),
    ("base_model: [a/b, C:\\models]", "base_model 'C:\\\\models' is not"),
    ("datasets: ['my data']", "datasets 'my data' is not a repository"),
    ("tags: [digits, 2026]", "tags: 2026 is not text; put it in quotes"),
    ("tags: digits", "tags 'digits' is not a list"),
    ("new_version: ../v2", "new_version '../v2' is not a repository"),
    (
        "model-index: {name: x, results: []}",
        "model-index {'name': 'x', 'results': []} is not a list",
    ),
    ("pipeline_tag: [image-text-to-text]", "pipeline_tag ['image-text-to-text'] is not text"),
    ("base_model_relation: finetuned", "is none of finetune, adapter"),
    ("model-index: [{name: x, results: []}, {results: []}]", "model-index[1] has no name"),
    (
        "model-index: [{name: x, results: [{task: {type: a}, metrics: [{type: b}]}]}]",
        "model-index[0].results[0].dataset is missing",
    ),
    (
        "a: &a [x, x]\nb: &b [" + "*a, " * 400 + "]\nc: [" + "*b, " * 400 + "]",
        "as often as aliases",
    ),
]


def write(folder: Path, front: str) -> Path:
    (folder / "README.md").write_text(f"---\n{front}\n---\n# A model\n", "utf-8")
    return folder


@pytest.mark.parametrize(("front", "told"), REFUSED, ids=[front[:24] for front, _ in REFUSED])
def test_what_a_hub_would_refuse_is_named(tmp_path: Path, front: str, told: str) -> None:
    found = card_problems(write(tmp_path, front))
    assert any(told in one.message for one in found), [one.message for one in found]
    assert {(one.where, one.remedy) for one in found} == {
        ("README.md", "correct the front matter of README.md")
    }


@pytest.mark.parametrize(
    "front",
    [
        "license: mit\nlanguage: [en, zh, no]\nbase_model: OpenGVLab/InternVL2-2B\ntags: ['2026']",
        "license: other\nlicense_name: internvl\nlicense_link: LICENSE\nlanguage: multilingual",
        "license: [mit, openmdw-1.0]\nbase_model: [a/b, gpt2]\ndatasets: lyan62/FoodieQA",
        "",
    ],
)
def test_what_hubs_take_passes(tmp_path: Path, front: str) -> None:
    assert card_problems(write(tmp_path, front)) == ()


def test_a_folder_without_a_card_or_front_matter_passes(tmp_path: Path) -> None:
    assert card_problems(tmp_path) == ()
    (tmp_path / "README.md").write_text("# A model\n\n---\n\nfoot\n---\n")
    assert card_problems(tmp_path) == ()
    (tmp_path / "README.md").write_bytes(b"---\nlicense: mit\n---\n\xff")
    assert [one.message for one in card_problems(tmp_path)] == ["not UTF-8 (byte 21)"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KEYS = [
    *("license", "language", "base_model", "datasets", "tags", "metrics", "model-index"),
    *("pipeline_tag", "library_name", "license_name", "base_model_relation", "thumbnail"),
]


@given(st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_no_metadata_breaks_the_rules_themselves(metadata: dict[str, object]) -> None:
    found = problems(metadata)
    assert all(isinstance(one, str) and len(one) < 400 for one in found)
    license = metadata.get("license")
    if isinstance(license, str) and license not in LICENSES:
        assert any(one.startswith("license ") for one in found)


def test_track_refuses_and_stages_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "InternVL2-Tiny"
    shutil.copytree(BASE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    write(folder, "license: InternVL-License\nbase_model: ./models/x\nlanguage: English")
    with pytest.raises(RefusedError) as caught:
        hubkit.track(folder)
    assert caught.value.exit_code == 3 and "3 problem(s)" in caught.value.message
    assert not (folder / ".git").exists() and not (folder / "manifest.json").exists()
    write(folder, "license: other\nlicense_name: internvl\nlanguage: en")  # as the messages say
    assert hubkit.track(folder).tag == "v1.0.0"
