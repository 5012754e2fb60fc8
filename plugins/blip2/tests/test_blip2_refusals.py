"""What BLIP's models cannot take is refused by name, and what their files hold twice is known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hubkit_blip2 import Blip2
from hubkit_blip2.conformance import CONFIG
from hubkit_peft.checked import open_encoder
from testing.live_adapter import loaded
from testing.tiny_blip import BLIP_OPT, BLIP_T5, INSTRUCT, single
from testing.tiny_processor import ASK, jobs, make, pictures

from hubkit.errors import DataError, UsageError, WeightsError
from hubkit.sdk import Record, Turn
from hubkit.weights.check import check
from hubkit.weights.convert import to_native, to_official
from hubkit.weights.merge import merge
from hubkit.weights.model import open_model

TABLE, HEAD = "language_model.model.decoder.embed_tokens.weight", "language_model.lm_head.weight"


@pytest.fixture(scope="module")
def opt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(BLIP_OPT, tmp_path_factory.mktemp("opt") / "base")


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(BLIP_T5, tmp_path_factory.mktemp("t5") / "base")


def _encoder(base: Path, place: Path) -> Any:
    records = single(BLIP_OPT)[:1]
    return open_encoder(jobs(base, place / "jobs", records, pictures(place / "images"))[0])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (Record("none", (), (Turn(ASK, "red"),)), "none, turn 1: 0 pictures here"),
        (
            Record("two", ("0.png", "1.png"), (Turn(f"<image><image>\n{ASK}", "red"),)),
            "two, turn 1: 2 pictures here; this model sees one",
        ),
        (
            Record("late", ("0.png", "1.png"), (Turn("<image>A", "b"), Turn("<image>C", "d"))),
            "late, turn 2: 1 pictures here",
        ),
    ],
)
def test_one_picture_at_the_beginning(
    record: Record, message: str, opt: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        _encoder(opt, tmp_path).size(record)
    assert "make a record of each picture" in caught.value.remedy


def test_an_encoder_reads_one_text_and_a_decoder_writes_one_answer(
    t5: Path, tmp_path: Path
) -> None:
    turns = (Turn(f"<image>\n{ASK}", "red"), Turn("And the other?", "blue"))
    encoder = _encoder(t5, tmp_path)
    with pytest.raises(DataError, match="record talk: 2 turns, and this model reads one text"):
        encoder.size(Record("talk", ("0.png",), turns))
    size = encoder.size(Record("one", ("0.png",), turns[:1]))
    example = encoder.example(Record("one", ("0.png",), turns[:1]))
    assert size.answers == len(example.labels) == size.tokens - len(example.inputs.ids)
    assert encoder.tokenizer.decode(example.labels) == " red</s>"


def test_asking_gives_an_encoder_the_whole_talk(t5: Path, tmp_path: Path) -> None:
    from hubkit_transformers.inputs import Processed, Question, whole

    encoder = _encoder(t5, tmp_path)
    arrange = Processed(encoder.processor, encoder.vision)
    turns = (Turn(f"<image>\n{ASK}", ""), Turn("And?", ""))
    record = Record("talk", ("0.png",), turns)
    seen = tuple(encoder.pixels(record))
    asked = Question(record, arrange.ask(record, seen), seen)
    given = whole(arrange, asked, ["red"])
    text = encoder.tokenizer.decode([i for i in given.ids if i != 2])
    assert text == "Question: Which colours? Answer: red</s>Question: And? Answer:</s>"
    assert given.pictures["pixel_values"].shape[0] == 1


def test_the_q_formers_ids_go_with_the_picture(tmp_path: Path) -> None:
    encoder = _encoder(make(INSTRUCT, tmp_path / "base"), tmp_path)
    first, later = single(INSTRUCT)[0], single(INSTRUCT)[2]
    for record in (first, later):
        inputs = encoder.example(record).inputs
        assert set(inputs.pictures) == {
            "pixel_values",
            "qformer_input_ids",
            "qformer_attention_mask",
        }
        own = inputs.pictures["qformer_input_ids"][0].tolist()
        assert (own[0], own[-1]) == (1, 2) and not inputs.tokens


def test_settings_that_do_not_fit(opt: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(opt, tmp_path / "base"))
    file = base / "processor_config.json"
    file.write_text(json.dumps({"processor_class": "Blip2Processor"}), "utf-8")
    (found,) = check(base, Blip2())
    assert found.where == "processor_config.json: num_query_tokens" and "is None" in found.message
    file.write_text(json.dumps({"processor_class": "Blip2Processor", "num_query_tokens": 4}))
    assert check(base, Blip2()) == ()
    with pytest.raises(UsageError, match=r"text_config\.model_type is 'gpt2'; known are opt, t5"):
        Blip2().layout({**CONFIG, "text_config": {"model_type": "gpt2"}})


def _changed(base: Path, out: Path, **tensors: Any) -> Path:
    from safetensors.torch import load_file, save_file

    made = Path(shutil.copytree(base, out))
    weights = load_file(base / "model.safetensors")
    save_file({**weights, **tensors}, made / "model.safetensors", {"format": "pt"})
    return made


def _adapter(folder: Path, base: Path, target: str) -> Path:
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(r=2, init_lora_weights=False, target_modules=[target])
    get_peft_model(loaded(base), settings).save_pretrained(folder)
    return folder


def test_a_head_that_the_file_holds_once_more(opt: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    table = load_file(opt / "model.safetensors")[TABLE]
    twice = _changed(opt, tmp_path / "twice", **{HEAD: table.clone()})
    assert check(twice, Blip2()) == ()
    adapter = _adapter(tmp_path / "adapter", opt, "fc1")
    merge(open_model(twice), adapter, tmp_path / "merged")
    assert load_file(tmp_path / "merged" / "model.safetensors")[HEAD].equal(table)
    loaded(tmp_path / "merged")
    to_native(open_model(twice), tmp_path / "native")
    to_official(tmp_path / "native", tmp_path / "again", Blip2(), twice)
    assert load_file(tmp_path / "again" / "model.safetensors")[HEAD].equal(table)
    other = _changed(opt, tmp_path / "other", **{HEAD: table + 1})
    with pytest.raises(WeightsError, match=f"'{HEAD}' is not '{TABLE}', though config.json"):
        merge(open_model(other), adapter, tmp_path / "out")


def test_a_language_model_that_was_trained_whole(t5: Path, tmp_path: Path) -> None:
    """peft saves T5's table three times."""
    import torch
    from peft import LoraConfig, get_peft_model
    from safetensors.torch import load_file

    own = {"target_modules": ["language_projection"], "modules_to_save": ["language_model"]}
    live = get_peft_model(loaded(t5), LoraConfig(r=2, **own))
    for name, parameter in live.named_parameters():
        if "modules_to_save" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    live.save_pretrained(tmp_path / "adapter")
    merge(open_model(t5), tmp_path / "adapter", tmp_path / "merged")
    got = load_file(tmp_path / "merged" / "model.safetensors")
    wanted = live.merge_and_unload().state_dict()
    assert all(tensor.equal(wanted[name]) for name, tensor in got.items())
    assert not got["language_model.shared.weight"].equal(
        load_file(t5 / "model.safetensors")["language_model.shared.weight"]
    )


def test_a_change_to_one_of_several_tables_is_refused(t5: Path, tmp_path: Path) -> None:
    adapter = _adapter(tmp_path / "adapter", t5, "shared")
    with pytest.raises(WeightsError, match=r"changes 'language_model\.shared\.weight', which in"):
        merge(open_model(t5), adapter, tmp_path / "out")
    assert not (tmp_path / "out").exists()
