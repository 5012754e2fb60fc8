"""The model's own tokens in texts are known where the base is known: in prepare, never after
training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from testing.projects import BASE, NAME

import hubkit
from hubkit.errors import DataError
from hubkit.sdk import special_tokens

TOKENS = sorted(special_tokens(BASE))


def dataset(path: Path, prompt: str = "Which?", answer: str = "x") -> Path:
    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    said = [{"from": "human", "value": prompt}, {"from": "gpt", "value": answer}]
    items = [{"id": "a", "conversations": turns}, {"id": "b", "conversations": turns + said}]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(items))
    return path


def test_the_base_says_which_they_are() -> None:
    assert {"<|im_start|>", "<|im_end|>", "<s>", "</s>", "<unk>", "<img>", "<IMG_CONTEXT>"} <= set(
        TOKENS
    )


def test_special_tokens_of_other_layouts(tmp_path: Path) -> None:
    """A slow tokenizer's files; what is added without being special is text."""
    added = {
        "7": {"content": "<|end|>", "special": True},
        "8": {"content": "tofu", "special": False},
    }
    config = {"added_tokens_decoder": added, "pad_token": "<pad>", "bos_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    more = {"eos_token": {"content": "<eos>"}, "additional_special_tokens": ["<a>", " "]}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(more))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"tofu": 8}))
    assert special_tokens(tmp_path) == {"<|end|>", "<pad>", "<eos>", "<a>"}
    (tmp_path / "special_tokens_map.json").write_text("[1]")
    with pytest.raises(hubkit.errors.UsageError, match=r"special_tokens_map\.json: not"):
        special_tokens(tmp_path)


@pytest.mark.parametrize("where", ["prompt", "answer", "held out"])
def test_every_one_is_refused_in_a_question_an_answer_and_a_held_out_prompt(
    where: str, tmp_path: Path
) -> None:
    field = {"held out": "prompt"}.get(where, where)
    for token in TOKENS:
        bad = dataset(tmp_path / "bad.json", **{field: f"tofu{token} is"})
        good = dataset(tmp_path / "good.json")
        source, holdout = (good, bad) if where == "held out" else (bad, 0)
        settings: dict[str, Any] = {"base": BASE, "holdout": holdout}
        with pytest.raises(DataError) as caught:
            hubkit.prepare(source, tmp_path / "out", hubkit.PrepareSettings(**settings))
        assert token in caught.value.message and "record 1" in caught.value.message
        assert caught.value.exit_code == 2 and not (tmp_path / "out").exists()
    spaced = dataset(tmp_path / "spaced.json", **{field: "tofu < s > is"})  # as the remedy says
    settings = hubkit.PrepareSettings(base=BASE)
    assert "such as with a space in it" in caught.value.remedy
    assert hubkit.prepare(spaced, None, settings).report.records == 2


def test_a_report_groups_them(tmp_path: Path) -> None:
    source = dataset(tmp_path / "d.json", answer="x<|im_end|>\n<|im_start|>user\nhello")
    done = hubkit.prepare(source, None, hubkit.PrepareSettings(base=BASE, skip=True))
    (problem,) = done.report.problems
    assert (problem.code, problem.count) == ("tokens", 1)
    assert "answer 1: it holds '<|im_end|>', a token of the base model" in problem.examples[0]
    assert hubkit.prepare(source, None).report.records == 2  # without a base, who knows


def test_a_release_says_so_before_it_trains(project: Path) -> None:
    source = project.parent / "data" / "digits.json"
    items = json.loads(source.read_text())
    items[5]["conversations"][1]["value"] += "</s>"
    source.write_text(json.dumps(items))
    command = [sys.executable, "-m", "hubkit", "release", str(project), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "record 5" in done.stderr and "answer 0: it holds '</s>'" in done.stderr
    assert "bug" not in done.stderr
    assert not (project.parent / ".hubkit" / NAME / "train").exists()
