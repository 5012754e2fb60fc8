"""Messages for LMDeploy, tile counts, and the rule on code that comes with a model: no LMDeploy
needed."""

from __future__ import annotations

import json
import shutil

import pytest
from hubkit_lmdeploy.messages import messages, shortened, tile_count
from hubkit_lmdeploy.remote_code import OURS, check_code, shown

from hubkit.sdk import DataError, Record, Turn, UsageError, tiles


def record(*prompts: str, images: int = 1) -> Record:
    return Record(
        "r1",
        tuple(f"{i}.png" for i in range(images)),
        tuple(Turn(prompt, "") for prompt in prompts),
    )


def picture(data: str) -> dict[str, object]:
    return {"type": "image_data", "image_data": {"data": data}}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def test_a_picture_before_its_line_is_a_part():
    assert messages(record("<image>\nWhich digit?", "Even?"), ["A"], ["3"]) == [
        {"role": "user", "content": [picture("A"), text("Which digit?")]},
        {"role": "assistant", "content": "3"},
        {"role": "user", "content": "Even?"},
    ]


def test_two_pictures_on_lines_of_their_own():
    (message,) = messages(record("<image>\n<image>\nWhich is larger?", images=2), ["A", "B"], [])
    assert message["content"] == [picture("A"), picture("B"), text("Which is larger?")]


def test_a_picture_within_a_line_stands_at_a_mark():
    """And so do the conversation's other pictures: LMDeploy reads a conversation in one of the two
    ways."""
    found = messages(
        record("<image>\nWhat is this?", "And this? <image>", images=2), ["A", "B"], ["a 1"]
    )
    assert [message["content"] for message in found] == [
        [text("<IMAGE_TOKEN>\nWhat is this?"), picture("A")],
        "a 1",
        [text("And this? <IMAGE_TOKEN>"), picture("B")],
    ]


def test_only_the_turns_that_are_due_are_asked():
    assert len(messages(record("<image>\nOne", "Two", "Three"), ["A"], [])) == 1
    assert len(messages(record("<image>\nOne", "Two", "Three"), ["A"], ["1", "2"])) == 5


def test_lmdeploys_own_mark_in_a_prompt_is_refused():
    with pytest.raises(DataError, match=r"record r1: a prompt contains <IMAGE_TOKEN>"):
        messages(record("<IMAGE_TOKEN> <image>\nWhat?"), ["A"], [])


def test_without_marks_pictures_come_before_the_text():
    """As LMDeploy reads LLaVA's messages."""
    (message,) = messages(
        record("<image>\n<image>\nWhich is larger?", images=2), ["A", "B"], [], marks=False
    )
    assert message["content"] == [picture("A"), picture("B"), text("Which is larger?")]
    assert messages(record("Hello", images=0), [], [], marks=False) == [
        {"role": "user", "content": "Hello"}
    ]
    for prompt in (
        "What is <image> here?",
        "Look:\n<image>\nWhat is it?",
        "<image> What?",
        "<image>\n",
    ):
        with pytest.raises(
            DataError, match="record r1: LMDeploy puts this model's pictures before the text"
        ) as refused:
            messages(record(prompt), ["A"], [], marks=False)
        assert "use the engine transformers" in refused.value.remedy


def test_image_positions_are_shortened_picture_by_picture():
    assert shortened([1, 5, 7, 7, 7, 6, 5, 7, 7, 6, 9], context=7) == (1, 5, 7, 6, 5, 7, 6, 9)


def test_tile_counts_are_those_of_training(vision, pictures):
    for image in pictures:
        assert tile_count(image.width, image.height, vision) == len(tiles(image, vision))
    assert [tile_count(*image.size, vision) for image in pictures] == [1, 3]


def folder(base, tmp_path, **changes):
    made = shutil.copytree(base, tmp_path / "InternVL2-Other")
    for name, keys in changes.items():
        path = made / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | keys), "utf-8")
    return made


def test_the_quickstarts_base_needs_no_code_of_its_own(base):
    check_code(base, allowed=False)


def test_a_tokenizer_that_is_code_needs_permission(base, tmp_path):
    made = folder(
        base,
        tmp_path,
        tokenizer_config={
            "auto_map": {"AutoTokenizer": ["tokenization_internlm2.Tokenizer", None]}
        },
    )
    with pytest.raises(
        UsageError, match=r"tokenizer_config\.json: auto_map\.AutoTokenizer names"
    ) as refused:
        check_code(made, allowed=False)
    assert "allow_remote_code: true" in refused.value.remedy
    check_code(made, allowed=True)


def test_an_unknown_configuration_class_needs_permission(base, tmp_path):
    made = folder(base, tmp_path, config={"model_type": "internvl_next"})
    with pytest.raises(
        UsageError, match=r"config\.json: auto_map\.AutoConfig names configuration_internvl_chat"
    ):
        check_code(made, allowed=False)


def test_a_folder_without_tokenizer_json_needs_permission(base, tmp_path):
    made = folder(base, tmp_path)
    (made / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match=r"there is no tokenizer\.json"):
        check_code(made, allowed=False)


def test_no_python_file_of_the_folder_is_in_what_lmdeploy_sees(base, tmp_path):
    made = folder(base, tmp_path)
    elsewhere = {
        "auto_map": {"AutoImageProcessor": "somebody/else--processing.Processor"},
        "size": 448,
    }
    (made / "preprocessor_config.json").write_text(json.dumps(elsewhere), "utf-8")
    before = {path.name: path.read_bytes() for path in made.iterdir() if path.is_file()}
    with shown(made, allowed=False) as view:
        assert view.name == made.name
        assert [path.name for path in view.glob("*.py")] == ["configuration_hubkit.py"]
        assert (view / "configuration_hubkit.py").read_bytes() == OURS.read_bytes()
        assert "auto_map" not in (view / "preprocessor_config.json").read_text("utf-8")
        seen = json.loads((view / "config.json").read_text("utf-8"))
        assert seen.pop("auto_map") == {"AutoConfig": "configuration_hubkit.InternVLChatConfig"}
        assert seen == {
            k: v
            for k, v in json.loads((made / "config.json").read_text("utf-8")).items()
            if k != "auto_map"
        }
        assert (view / "model.safetensors").resolve() == made / "model.safetensors"
    assert not view.exists()
    assert {path.name: path.read_bytes() for path in made.iterdir() if path.is_file()} == before
    with shown(made, allowed=True) as itself:
        assert itself == made
