"""Prompts of training and of engines, compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubkit.errors import RefusedError
from hubkit.inference.prompt_parity import Parity, Prompt, sample
from hubkit.sdk import GenerateOutput, Record, TrainOutput, Turn

SYSTEM = (
    "<|im_start|>system\nYou are an AI assistant whose name is InternLM (书生·浦语).<|im_end|>\n"
)
REST = "<|im_start|>user\n<img><IMG_CONTEXT></img>\nWhat is it?<|im_end|>\n<|im_start|>assistant\n"
RECORD = Record(
    "r7",
    ("a.png", "b.png"),
    (Turn("<image>\nWhat is it?", "soup"), Turn("<image> And this?", "rice")),
)


def trained(text: str, ids: tuple[int, ...] = (), inputs: str = "") -> TrainOutput:
    told = {"prompt": text, "prompt_ids": ids, "inputs": inputs}
    return TrainOutput("adapter", "peft", "metrics.jsonl", 1, 1, 1, {}, **told)


def asked(text: str, ids: tuple[int, ...] = (), inputs: str = "") -> GenerateOutput:
    told = {"prompt_ids": ids, "inputs": inputs}
    return GenerateOutput("answers.jsonl", text, "template", {}, 0.0, 0.0, 0.0, **told)


def test_the_sample_is_the_first_turn_with_its_pictures() -> None:
    record = sample(RECORD, "peft", trained(REST), "").record
    assert (record.id, record.images, len(record.turns)) == ("r7", ("a.png",), 1)


def test_equal_prompts_are_kept() -> None:
    found = sample(RECORD, "peft", trained(REST, (1, 2)), "").compare(
        "transformers", asked(REST, (1, 2))
    )
    assert found == Parity(
        "r7", Prompt("peft", REST, (1, 2)), Prompt("transformers", REST, (1, 2)), equal=True
    )


def test_a_system_line_that_is_not_there_is_refused_with_both_strings() -> None:
    with pytest.raises(RefusedError) as caught:
        sample(RECORD, "xtuner", trained(SYSTEM + REST), "").compare("lmdeploy", asked(REST))
    message = caught.value.message
    assert "training record r7" in message and "they part at character 13:" in message
    assert repr(SYSTEM + REST) in message and repr(REST) in message
    assert (
        "trained by xtuner: '<|im_start|>system\\n" in message
        and "asked by lmdeploy: '<|im_start|>user\\n" in message
    )
    assert caught.value.exit_code == 3 and "smoke.prompt_differs" in caught.value.remedy


def test_one_text_with_other_ids_is_refused() -> None:
    with pytest.raises(
        RefusedError, match=r"the text is the same, the token ids part at number 3:"
    ) as caught:
        sample(RECORD, "peft", trained(REST, (1, 9, 8, 4)), "").compare(
            "lmdeploy", asked(REST, (1, 9, 7, 4))
        )
    assert "[1, 9, 8, 4]" in caught.value.message and "[1, 9, 7, 4]" in caught.value.message


def test_a_prompt_that_ends_early_differs() -> None:
    with pytest.raises(RefusedError, match=f"they part at character {len(REST)}:"):
        sample(RECORD, "peft", trained(REST), "").compare("lmdeploy", asked(REST[:-1]))


def test_a_declared_difference_is_kept_with_its_reason() -> None:
    found = sample(
        RECORD, "xtuner", trained(SYSTEM + REST), "the line was dropped on purpose"
    ).compare("lmdeploy", asked(REST))
    assert (found.equal, found.declared) == (False, "the line was dropped on purpose")
    assert found.difference.startswith("they part at character 13")


def test_a_declaration_without_a_difference_says_nothing() -> None:
    found = sample(RECORD, "peft", trained(REST), "just in case").compare("lmdeploy", asked(REST))
    assert (found.equal, found.declared, found.difference) == (True, "", "")


@pytest.mark.parametrize("ids", [((), (1, 2)), ((1, 2), ())])
def test_ids_that_one_side_does_not_tell_are_not_compared(
    ids: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    assert (
        sample(RECORD, "peft", trained(REST, ids[0]), "")
        .compare("lmdeploy", asked(REST, ids[1]))
        .equal
        is True
    )


def test_a_trainer_that_does_not_tell_its_prompt_is_noted_and_not_compared(tmp_path: Path) -> None:
    found = sample(RECORD, "older", trained(""), "").compare("transformers", asked(REST))
    assert (found.trained, found.equal, found.asked.text) == (None, None, REST)


def test_pictures_that_a_processor_makes_otherwise_are_refused() -> None:
    told = sample(RECORD, "peft", trained(REST, (1, 2), "a" * 64), "")
    assert told.compare("transformers", asked(REST, (1, 2), "a" * 64)).equal
    assert told.compare("lmdeploy", asked(REST, (1, 2))).equal
    with pytest.raises(RefusedError, match="makes of the pictures is not") as caught:
        told.compare("transformers", asked(REST, (1, 2), "b" * 64))
    assert "one version of transformers and Pillow" in caught.value.remedy
    declared = sample(RECORD, "peft", trained(REST, (1, 2), "a" * 64), "another processor")
    assert declared.compare("transformers", asked(REST, (1, 2), "b" * 64)).equal is False
