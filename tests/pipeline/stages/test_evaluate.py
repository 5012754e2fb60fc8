"""Evaluation and prompt parity in real runs: killed, refused, declared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from testing.projects import BASE, NAME, make_project

import hubkit
from hubkit.errors import RefusedError
from hubkit.packaging.card import render_card
from hubkit.pipeline.card_facts import card_facts
from hubkit.pipeline.spec.model import Spec
from hubkit.pipeline.stage import Context
from hubkit.pipeline.workspace import Workspace
from hubkit.reporting import SilentReporter
from hubkit.sdk import Answer, read_answers

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("evaluation")]


def receipt(spec: Path, stage: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(
        (spec.parent / ".hubkit" / NAME / stage / "seal.json").read_text("utf-8")
    )
    return data


def change_trained_prompt(spec: Path, text: str, ids: list[int]) -> None:
    """The train stage as if its trainer had told this prompt."""
    path = spec.parent / ".hubkit" / NAME / "train" / "seal.json"
    data = receipt(spec, "train")
    data["result"] |= {"prompt": text, "prompt_ids": ids}
    path.write_text(json.dumps(data), "utf-8")


def mark(path: Path, text: str) -> list[Answer]:
    """Changes the text of the first kept answer: it comes back only if it is not asked for
    again."""
    lines = path.read_text("utf-8").splitlines(keepends=True)
    first = json.loads(lines[0])
    path.write_text(
        json.dumps({**first, "texts": [text]}, sort_keys=True) + "\n" + "".join(lines[1:]), "utf-8"
    )
    return list(read_answers(path))


def test_a_killed_evaluation_continues(tmp_path: Path, digits: Path) -> None:
    spec = make_project(tmp_path / "project", digits, records=48)
    work, rows = tmp_path / "work", tmp_path / "rows.jsonl"
    command = [
        sys.executable,
        "-m",
        "hubkit",
        "evaluate",
        str(BASE),
        "--data",
        str(spec.parent / "data" / "digits.json"),
        "--images",
        str(spec.parent / "data" / "images"),
        "--workdir",
        str(work),
        "--samples",
        str(rows),
        "--json",
        "--metric",
        "exact_match",
        "--metric",
        "contains",
        "--option",
        "batch_size=1",
        "--option",
        "threads=1",
    ]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ)
    deadline = time.monotonic() + 120
    while not (
        found := [
            path
            for path in work.glob("*/after/answers.part.jsonl")
            if path.read_bytes().count(b"\n") >= 5
        ]
    ):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    (answers,) = found
    time.sleep(1)  # the worker ends by itself
    kept = answers.read_bytes().count(b"\n")
    assert 5 <= kept < 48 and not rows.exists()
    first, *others = answers.read_text("utf-8").splitlines(keepends=True)
    line = json.loads(first)
    line["answer"]["texts"] = ["kept from before the kill"]
    answers.write_text("".join([f"{json.dumps(line)}\n", *others]), "utf-8")
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    table = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
    assert table[line["place"]]["answers"] == ["kept from before the kill"]
    assert (result["count"], len(table)) == (48, 48)
    assert [measure["metric"] for measure in result["measures"]] == ["exact_match", "contains"]
    assert result["score"] == round(sum(row["exact_match"] for row in table) / 48, 6)
    data = spec.parent / "data"
    undisturbed = hubkit.evaluate(
        BASE,
        data / "digits.json",
        images=data / "images",
        options={"batch_size": 1, "threads": 1},
        baseline=BASE,
        metrics=("exact_match", "contains"),
        processes=2,
        samples=tmp_path / "again.jsonl",
    )
    again = [
        json.loads(line) for line in (tmp_path / "again.jsonl").read_text("utf-8").splitlines()
    ]
    assert [row["answers"] for row in again[1:]] == [row["answers"] for row in table[1:]]
    assert undisturbed.measures[0].change is not None and undisturbed.measures[0].change.value == 0
    assert undisturbed.base_score == undisturbed.score and not undisturbed.measures[0].improved


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """A release up to its smoke test."""
    spec = make_project(tmp_path_factory.mktemp("parity"), digits)
    hubkit.release(spec, until="smoke")
    return spec


def test_prompt_parity_is_a_gate_that_can_be_declared(trained: Path) -> None:
    parity = receipt(trained, "smoke")["result"]["parity"]
    spoken = parity["asked"]
    assert (
        spoken["by"] == "transformers"
        and "<IMG_CONTEXT></img>" in spoken["text"]
        and len(spoken["ids"]) > 5
    )
    assert (parity["equal"], parity["trained"]) == (True, {**spoken, "by": "peft"})

    system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    change_trained_prompt(trained, system + spoken["text"], [])
    with pytest.raises(RefusedError) as caught:
        hubkit.release(trained, until="smoke")
    assert (
        repr(system + spoken["text"]) in caught.value.message
        and repr(spoken["text"]) in caught.value.message
    )
    assert (
        "trained by peft" in caught.value.message
        and "asked by transformers" in caught.value.message
    )

    reason = 'smoke.prompt_differs="served without the system line, to save tokens"'
    hubkit.release(trained, until="evaluate", overrides=[reason])
    for stage in ("smoke", "evaluate"):
        parity = receipt(trained, stage)["result"]["parity"]
        assert (parity["equal"], parity["declared"]) == (
            False,
            "served without the system line, to save tokens",
        )
    spec: Spec = hubkit.load_spec(trained, [reason])
    facts = card_facts(Context(spec, Workspace(trained.parent, NAME), SilentReporter()), ())
    pages = render_card(facts)
    assert (
        "trained with another prompt than it was asked with here**: served without the system line"
        in pages["README.md"].decode()
    )
    assert "训练时的提示词与此处提问所用的不同" in pages["README.zh-CN.md"].decode()


def test_a_refused_evaluation_keeps_its_answers(trained: Path) -> None:
    """Four records and three training steps: the answers are asked for once, whatever the gate
    says."""
    change_trained_prompt(trained, "", [])
    with pytest.raises(RefusedError, match=r"exact_match is [\d.]+ .* asks for >= 1"):
        hubkit.release(
            trained,
            until="evaluate",
            overrides=['evaluate.require={exact_match: ">= 1", improvement: "> 0.99"}'],
        )
    (answers,) = (trained.parent / ".hubkit" / NAME / "scratch" / "evaluate").glob(
        "*/after/answers.jsonl"
    )
    marked = mark(answers, "the training sample")
    assert len(marked) == 5
    overrides = ["evaluate.metrics=[contains, anls]", 'evaluate.require={contains: ">= 0"}']
    result = hubkit.release(trained, until="evaluate", overrides=overrides)
    sealed = trained.parent / ".hubkit" / NAME / "evaluate"
    assert list(read_answers(sealed / "after" / "answers.jsonl")) == marked
    assert result.evaluation is not None and [one.metric for one in result.evaluation.measures] == [
        "contains",
        "anls",
    ]
    assert result.evaluation.parity is not None and result.evaluation.parity.equal is None
    assert len((sealed / "samples.jsonl").read_text("utf-8").splitlines()) == 4
    assert not result.evaluation.measures[0].improved
    again = hubkit.release(trained, until="evaluate", overrides=["evaluate.metrics=[exact_match]"])
    assert again.evaluation is not None and again.evaluation.measures[0].metric == "exact_match"
    assert list(read_answers(sealed / "after" / "answers.jsonl")) == marked
