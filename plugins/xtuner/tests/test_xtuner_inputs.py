"""The data file, the folder without code, and records that xtuner would silently cut, drop or
replace."""

from __future__ import annotations

import json
import shutil

import pytest
from hubkit_xtuner import XtunerTrainer, data, folder
from hubkit_xtuner.conversation import encode, first_prompt, shortened, tile_counts

from hubkit.sdk import DataError, Record, RefusedError, SilentRun, Turn, UsageError
from hubkit.sdk.contract import problems

STOPS = (2, 4)


def check(records, job, tokenizer, **settings):
    limits = {"max_length": 500, "stock": False, **settings}
    return data.check(
        records,
        job(),
        tokenizer,
        STOPS,
        limits["max_length"],
        stock=limits["stock"],
        run=SilentRun(),
    )


def test_contract():
    assert problems(XtunerTrainer) == ()


def test_the_file_reads_back_and_groups_by_modality(records, job, tokenizer, tmp_path):
    lengths = check(records, job, tokenizer)
    data.write(tmp_path / "llava.json", records, lengths)
    entries = json.loads((tmp_path / "llava.json").read_text("utf-8"))
    assert [data.record(entry) for entry in entries] == records
    assert entries[0]["image"] == "0.png" and entries[11]["image"] == ["1.png", "2.png"]
    assert [entry["length"] for entry in entries] == [*lengths[:-1], -lengths[-1]]
    assert lengths[10] > lengths[0] + 2 * 16 - 20


def test_ids_and_labels_are_those_of_the_chat_template(records, job, tokenizer, images, vision):
    ids, labels = encode(tokenizer, records[3], [1], vision, STOPS)
    assert tokenizer.decode(ids) == (
        "<s><|im_start|>user\n<img>"
        + "<IMG_CONTEXT>" * 16
        + "</img>\nWhich digit is this?<|im_end|>\n"
        "<|im_start|>assistant\n3<|im_end|>\n<|im_start|>user\nIs it even or odd?<|im_end|>\n"
        "<|im_start|>assistant\nodd<|im_end|>\n"
    )
    assert tokenizer.decode([label for label in labels if label >= 0]) == "3<|im_end|>odd<|im_end|>"
    assert first_prompt(tokenizer, records[3], vision) == (
        "<s><|im_start|>user\n<img><IMG_CONTEXT></img>\nWhich digit is "
        "this?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tile_counts(records[10], images, vision) == [3]
    assert shortened([1, 7, 7, 7, 5, 7, 7], 7) == (1, 7, 5, 7)


@pytest.mark.parametrize(
    ("record", "settings", "message"),
    [
        (Record("r2", (), (Turn("Hello", "  "),)), {}, "record r2: an answer is empty"),
        (
            Record("r3", ("0.png",), (Turn("<image>" + "x" * 500, "0"),)),
            {"max_length": 64},
            "record r3: .* max_length is 64",
        ),
        (
            Record("r4", ("absent.png",), (Turn("<image>", "0"),)),
            {},
            r"record r4: absent\.png is not a picture",
        ),
        (
            Record("r5", ("1.png", "2.png"), (Turn("<image><image>", "0"),)),
            {"stock": True},
            "record r5: 2 pictures",
        ),
    ],
)
def test_bad_records_are_named_before_training(record, settings, message, job, tokenizer):
    with pytest.raises(DataError, match=message):
        check([record], job, tokenizer, **settings)


def test_no_records(job, tokenizer):
    with pytest.raises(DataError, match="nothing to train on"):
        check([], job, tokenizer)


def test_a_template_without_a_known_stop_is_refused(records, job, tokenizer):
    with pytest.raises(UsageError, match="would not learn to stop"):
        data.check(records, job(), tokenizer, (1,), 500, stock=False, run=SilentRun())


@pytest.mark.parametrize("name", ["Qwen3MoeForCausalLM", "InternLM3ForCausalLM"])
def test_language_models_that_it_does_not_train(name):
    with pytest.raises(UsageError, match="with xtuner hubkit trains InternLM2") as caught:
        folder.language_model({"llm_config": {"architectures": [name]}})
    assert "trainer: peft" in caught.value.remedy
    with pytest.raises(UsageError, match="architectures is None"):
        folder.language_model({})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4}}, "rope_scaling is 'yarn'"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"use_sliding_window": True}, "use_sliding_window is True"),
    ],
)
def test_settings_that_the_modules_do_not_compute(settings, message):
    known = {"architectures": ["Qwen2ForCausalLM"]}
    assert folder.language_model({"llm_config": known}) == "Qwen2ForCausalLM"
    with pytest.raises(UsageError, match=message) as caught:
        folder.language_model({"llm_config": {**known, **settings}})
    assert "trainer: peft" in caught.value.remedy


def test_options_that_are_for_xtuners_own_language_models():
    with pytest.raises(UsageError, match="prompt: xtuner is for InternLM2ForCausalLM and Phi3"):
        folder.check_options("LlamaForCausalLM", stock_prompt=True, remote_code=False)
    with pytest.raises(UsageError, match=r"allow_remote_code: .* transformers 4\.51 for Qwen3"):
        folder.check_options("Qwen3ForCausalLM", stock_prompt=False, remote_code=True)
    folder.check_options("InternLM2ForCausalLM", stock_prompt=True, remote_code=True)
    folder.check_options("Qwen3ForCausalLM", stock_prompt=False, remote_code=False)


def test_an_old_tokenizers_library_can_read_the_folders(base, native, tmp_path):
    """tokenizers 0.15 reads merges as strings alone, and a piece with a space has no such form."""
    from tokenizers import Tokenizer

    made = folder.prepare(base, native, tmp_path / "model", remote_code=False) / "tokenizer.json"
    original, written = (
        json.loads(path.read_text("utf-8")) for path in (native / "tokenizer.json", made)
    )
    assert original["model"]["merges"] and all(
        isinstance(pair, list) for pair in original["model"]["merges"]
    )
    assert written["model"].pop("merges") == [
        " ".join(pair) for pair in original["model"].pop("merges")
    ]
    assert written == original
    text = "<s>Which digit is this? Is it even or odd?</s>"
    assert (
        Tokenizer.from_file(str(made)).encode(text).ids
        == Tokenizer.from_file(str(native / "tokenizer.json")).encode(text).ids
    )

    spaced = tmp_path / "spaced"
    shutil.copytree(native, spaced)
    original["model"]["merges"] = [["a b", "c"]]
    (spaced / "tokenizer.json").write_text(json.dumps(original), "utf-8")
    made = folder.prepare(base, spaced, tmp_path / "other", remote_code=False) / "tokenizer.json"
    assert json.loads(made.read_text("utf-8")) == original


def test_the_folder_holds_no_code_and_names_none(base, native, tmp_path):
    made = folder.prepare(base, native, tmp_path / "model", remote_code=False)
    assert {path.name for path in made.iterdir()} == {
        *("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    }
    assert (made / "model.safetensors").samefile(base / "model.safetensors")
    assert "auto_map" not in (made / "config.json").read_text("utf-8")
    nested = folder.without_code(
        {"a": 1, "auto_map": {}, "llm_config": {"auto_map": {}, "_name_or_path": "/home/x", "b": 2}}
    )
    assert nested == {"a": 1, "llm_config": {"b": 2}}
    settings = json.loads((made / "tokenizer_config.json").read_text("utf-8"))
    assert (
        settings["tokenizer_class"] == "PreTrainedTokenizerFast" and settings["pad_token"] == "</s>"
    )


def test_remote_code_is_used_only_where_there_is_some(base, native, tmp_path):
    assert folder.prepare(base, native, tmp_path / "model", remote_code=True) == base
    bare = tmp_path / "bare"
    shutil.copytree(base, bare, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    with pytest.raises(RefusedError, match=r"no auto_map or no modeling_\*\.py") as caught:
        folder.prepare(bare, native, tmp_path / "model", remote_code=True)
    assert "without the folder's code" in caught.value.remedy


def test_a_tokenizer_that_is_code_is_refused(base, native, tmp_path):
    bare = tmp_path / "native"
    shutil.copytree(native, bare)
    (bare / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match=r"no tokenizer\.json"):
        folder.prepare(base, bare, tmp_path / "model", remote_code=False)


def test_where_xtuner_is_missing_the_locked_environment_is_named(job, tmp_path):
    """No extra of hubkit's can install xtuner: its transformers goes with no huggingface_hub that
    hubkit takes."""
    from hubkit.environments import CURRENT, call
    from hubkit.sdk import EnvironmentFailure

    with pytest.raises(EnvironmentFailure, match="trainer xtuner cannot run in") as caught:
        call(
            XtunerTrainer(),
            "train",
            job(),
            environment=CURRENT,
            run=SilentRun(),
            folder=tmp_path / "worker",
        )
    assert "environment: locked" in caught.value.remedy and "pip install" not in caught.value.remedy
