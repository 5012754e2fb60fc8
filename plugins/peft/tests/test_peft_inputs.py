"""What is learnt (labels), what is refused, and the order of the records."""

from __future__ import annotations

import pytest
from hubkit_peft import PeftTrainer
from hubkit_peft.loop import pace
from hubkit_peft.options import Options
from hubkit_peft.order import Order, plan

from hubkit.sdk import DataError, Record, SilentRun, Turn, UsageError


@pytest.fixture
def encoder(native, vision, images):
    from hubkit_peft.examples import Encoder

    from hubkit.sdk.processing import load_tokenizer

    return Encoder(load_tokenizer(native), vision, images, (2, 4))


def test_labels_are_the_answers_and_their_stops(encoder, records):
    example = encoder.example(records[3])
    tokenizer = encoder.tokenizer
    assert (
        tokenizer.decode([label for label in example.labels if label >= 0])
        == "3<|im_end|>odd<|im_end|>"
    )
    assert all(
        label in (-100, number) for label, number in zip(example.labels, example.ids, strict=True)
    )
    assert tokenizer.decode(example.ids) == (
        "<s><|im_start|>user\n<img>"
        + "<IMG_CONTEXT>" * 16
        + "</img>\nWhich digit is this?<|im_end|>\n"
        "<|im_start|>assistant\n3<|im_end|>\n<|im_start|>user\nIs it even or odd?<|im_end|>\n"
        "<|im_start|>assistant\nodd<|im_end|>\n"
    )
    assert sum(label != -100 for label in example.labels[1:]) == 4
    assert example.pixels.shape == (1, 3, 56, 56)


def test_wide_pictures_have_tiles_and_a_thumbnail(encoder, records):
    (wide,) = (record for record in records if record.id == "wide")
    assert encoder.tile_counts(wide) == [3]
    example = encoder.example(wide)
    assert (len(example.pixels), example.ids.count(7)) == (3, 48)


def test_a_template_without_a_known_stop_is_refused(encoder, records):
    from dataclasses import replace

    with pytest.raises(UsageError, match="would not learn to stop"):
        replace(encoder, stops=(1,)).example(records[0])


def test_a_template_that_rewrites_is_refused(encoder, records):
    encoder.tokenizer.chat_template = (
        "{{ messages | length }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    )
    with pytest.raises(UsageError, match="rewrites the conversation"):
        encoder.example(records[0])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (
            Record("r1", ("0.png",), (Turn("no mark", "0"),)),
            "record r1: 0 <image> in the prompts for 1 pictures",
        ),
        (Record("r2", (), (Turn("Hello", ""),)), "record r2: an answer is empty"),
        (
            Record("r3", ("0.png",), (Turn("<image>" + "x" * 500, "0"),)),
            "record r3: .* tokens, max_length is 64",
        ),
        (
            Record("r4", ("absent.png",), (Turn("<image>", "0"),)),
            r"record r4: absent\.png is not a picture",
        ),
    ],
)
def test_bad_records_are_named_before_training(job, records, record, message):
    with pytest.raises(DataError, match=message):
        PeftTrainer().train(job([records[4], record], max_length=64), SilentRun())


def test_no_records(job):
    with pytest.raises(DataError, match="nothing to train on"):
        PeftTrainer().train(job([]), SilentRun())


def test_unknown_group(job):
    with pytest.raises(UsageError, match="this model has no group audio"):
        PeftTrainer().train(job(lora=["llm", "audio"]), SilentRun())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rank": 0}, "rank must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"epochs": 0.0}, "epochs must be above 0"),
        ({"steps": -1}, "steps must be at least 0"),
        ({"lora": (), "full": ()}, "lora or full must name at least one group"),
        ({"lora": ("llm", "projector")}, "projector cannot be in both"),
    ],
)
def test_bad_options(values, message):
    with pytest.raises(ValueError, match=message):
        Options(**values)


def test_each_epoch_takes_every_record_once_in_a_new_order():
    order = Order(10, 4, seed=1)
    places = [number for step in range(5) for number in order.step(step)]
    assert sorted(places[:10]) == sorted(places[10:]) == list(range(10))
    assert places[:10] != places[10:]
    assert Order(10, 4, seed=1).step(3) == order.step(3)
    assert Order(10, 4, seed=2).step(0) != order.step(0)


@pytest.mark.parametrize(("steps", "epochs", "expected"), [(0, 2.0, 5), (0, 1.0, 3), (7, 1.0, 7)])
def test_steps(steps, epochs, expected):
    assert plan(10, 4, steps, epochs) == expected


def test_learning_rate_rises_then_falls():
    shares = [pace(step, 10, 0.2) for step in range(10)]
    assert shares[:3] == [0.5, 1.0, 1.0]
    assert shares[3:] == sorted(shares[3:], reverse=True)
    assert 0 < shares[-1] < 0.05
